"""How the server says no: the statuses and the words of the real one."""

import grpc


class Refusal(Exception):
    """Ends a call with a status."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        self.status = status
        self.details = details
        super().__init__(details)


def no_collection(name: str) -> Refusal:
    return Refusal(grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")


def wrong(details: str) -> Refusal:
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {details}")


def no_point(identifier: object) -> Refusal:
    return Refusal(grpc.StatusCode.NOT_FOUND, f"Not found: No point with id {identifier}")


def already_there(name: str) -> Refusal:
    return Refusal(grpc.StatusCode.ALREADY_EXISTS, f"Wrong input: Collection `{name}` already exists!")


def no_index(key: str, kinds: str) -> Refusal:
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f'Bad request: Index required but not found for "{key}" of one of the following types: [{kinds}]. '
        "Help: Create an index for this key or use a different filter.",
    )
