"""Accounts between which something is moved."""

import msgspec

from pipelines_persistence.repositories import Table


class Account(msgspec.Struct):
    name: str
    balance: int = 0
    version: int = 1


ACCOUNTS = Table(Account, key=["name"], name="accounts", version="version")


def moved(account: Account, amount: int) -> Account:
    return msgspec.structs.replace(account, balance=account.balance + amount)
