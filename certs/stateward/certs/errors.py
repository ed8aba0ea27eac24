"""The one error of this package."""


class CertificateError(Exception):
    """A certificate, a key or the place they live in cannot be used.

    `where` is a path, a field or a name; `problem` says what is wrong with it; `next_step` says what the reader can do.
    """

    def __init__(self, where: str, problem: str, next_step: str) -> None:
        super().__init__(where, problem, next_step)  # all three, so that the error survives pickling between processes
        self.where = where
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.next_step}"
