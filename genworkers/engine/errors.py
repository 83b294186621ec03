"""The errors that an engine raises to whoever waits for it."""


class EngineError(Exception):
    """A request that the engine could not serve.

    Args:
        code: a snake_case code of docs/ERRORS.md.
        message: what happened and what to do next, for the person who asked.
        may_retry: whether the same request can succeed on another attempt.
    """

    def __init__(self, code: str, message: str, *, may_retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.may_retry = may_retry
