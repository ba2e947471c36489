"""A gRPC server that discards what it is sent, in a process of its own: what is left to measure is the client."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


class _Sink(grpc.GenericRpcHandler):
    """Answers every write with "completed", and parses nothing."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._answers = answers

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = self._answers.get(details.method)
        if answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)


def answers(dimension: int) -> dict[str, bytes]:
    """Return what is answered to each method: a collection that is there, a write that is done."""
    from qdrant_client import grpc as wire

    info = wire.GetCollectionInfoResponse()
    dense = info.result.config.params.vectors_config.params_map.map["dense"]
    dense.size, dense.distance = dimension, wire.Distance.Cosine
    done = wire.PointsOperationResponse(result=wire.UpdateResult(status=wire.UpdateStatus.Completed))
    return {
        "/qdrant.Collections/Get": info.SerializeToString(),
        "/qdrant.Points/Upsert": done.SerializeToString(),
    }


def main() -> None:
    """Serve until the standard input ends; prints the port."""
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.max_receive_message_length", -1),))
    server.add_generic_rpc_handlers((_Sink(answers(int(sys.argv[1]))),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
