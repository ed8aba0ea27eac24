"""CEL (https://cel.dev): expressions compiled once, evaluated over one activation a request.

The only module that imports the runtime, when the first expression is compiled: it is the extra `cel`. What is known of
cel-expr-python 0.1.3, measured:

- an expression may iterate 10,000 times in all, nest 32 deep, and its regular expressions are RE2's (linear): its time is
  bounded by the size of what it is given; memory is given back with the activation;
- evaluation holds the interpreter's lock, so that threads may share everything here;
- a Python function that an expression calls leaks its arguments on every call: there are none, see cel_functions.py;
- the text of an evaluation's error may hold values of the object: it is never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stateward.policies import cel_functions
from stateward.policies.rule import RuleFault

if TYPE_CHECKING:
    from cel_expr_python import cel

LONGEST: Final = 8192
"""Characters of an expression."""
VARIABLES: Final = ("object", "oldObject", "request", "service", "oldService")
"""What an activation holds; `params` and `variables` are a rule's own and become part of its expressions."""

_ERROR: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")
_KEY: Final = re.compile(r'Key not found in map : "(.*)"')
_OVERLOAD: Final = re.compile(r"No matching overloads found : ([^\s(]+)(\([\w, .<>]*\))")
_REASONS: Final = (
    ("Applying SELECT to non-message type", "a field is asked of null or of a plain value; guard it with has() or != null"),
    ("divide by zero", "it divides by zero"),
    ("modulus by zero", "it divides by zero"),
    ("Iteration budget exceeded", "it iterates more than 10,000 times"),
    ("cannot convert", "a text is no number, quantity or version"),
    ("invalid regular expression", "a text is no regular expression"),
    ("out of range", "a number or an index is out of range"),
    ("index", "a number or an index is out of range"),
    ("overflow", "a number is out of range"),
)


class MissingRuntime(Exception):  # noqa: N818 - reads as what it is
    """CEL's runtime is not installed."""


class CompileError(Exception):
    """An expression that is none. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(f"line {line}, column {column}: {reason}" if line > 1 else f"column {column}: {reason}")


class EvaluationFault(RuleFault):
    """An expression that could not be evaluated. The message names no value of the object."""


class Program:
    """A compiled expression. `type_name` is the sort of value it gives: BOOL, STRING, DYN."""

    __slots__ = ("_expression", "_text", "type_name")

    def __init__(self, expression: cel.Expression, text: str, type_name: str) -> None:
        self._expression = expression
        self._text = text
        self.type_name = type_name

    def evaluate(self, activation: cel.Activation) -> Any:
        """A plain value. Raises EvaluationFault."""
        try:
            found = self._expression.eval(activation)
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise EvaluationFault(self._reason(str(error))) from None
        if found.type().name() == "ERROR":
            raise EvaluationFault(self._reason(str(found.value())))
        return found.plain_value()

    def _reason(self, text: str) -> str:
        """The reason in words that hold nothing of the object: a key is named only where the expression names it."""
        key = _KEY.search(text)
        if key is not None:
            named = re.search(rf"\b{re.escape(key[1])}\b", self._text) is not None
            return f'there is no "{key[1]}"; guard it with has()' if named else "a key is missing; guard it with has() or in"
        overload = _OVERLOAD.search(text)
        if overload is not None:
            name = overload[1].replace("@", "").strip("_")
            return f"{name}{overload[2]}: a value is of another type than the expression takes"
        return next((reason for sign, reason in _REASONS if sign in text), "it could not be evaluated")


class Scope:
    """Where one rule's expressions are compiled. `params` and the named sub-expressions are known in it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._variables: dict[str, str] = {}
        self._types: dict[str, Any] = {}
        self._env: cel.Env | None = None

    def define(self, name: str, text: str) -> None:
        """One more named sub-expression, evaluated where `variables.NAME` is first asked for. Raises CompileError."""
        self._types[name] = self._check(text).return_type()
        self._variables[name] = text
        self._env = None

    def compile(self, text: str) -> Program:
        """Raises CompileError, with the column in `text`."""
        checked = self._check(text)
        carried_out = self._written_out(text)
        # Checked as it is written, so that columns are right, and carried out with everything put in its place.
        expression = checked if carried_out == text else self._compiled(carried_out)
        return Program(expression, text, checked.return_type().name())

    def with_params(self, params: Mapping[str, Any]) -> Scope:
        """The same scope where a policy gives other parameters."""
        other = Scope(params)
        other._variables, other._types = self._variables, self._types
        return other

    def _check(self, text: str) -> cel.Expression:
        if len(text) > LONGEST:
            raise CompileError(1, LONGEST, f"{len(text)} characters are too many; use at most {LONGEST}")
        return self._compiled(text)

    def _compiled(self, text: str) -> cel.Expression:
        if self._env is None:
            self._env = _environment(self._types)
        try:
            return self._env.compile(text)
        except (RuntimeError, ValueError) as error:
            raise _compile_error(str(error)) from None

    def _written_out(self, text: str) -> str:
        written = cel_functions.expand(text)
        used = [name for name in self._variables if cel_functions.variable(name) in written]
        bodies = {name: cel_functions.expand(self._variables[name]) for name in self._variables}
        for name in reversed(self._variables):
            # What another one needs was defined before it.
            if any(cel_functions.variable(name) in bodies[other] for other in used) and name not in used:
                used.append(name)
        for name in reversed(self._variables):
            if name in used:
                written = f"cel.bind({cel_functions.variable(name)}, {bodies[name]}, {written})"
        if cel_functions.mentions(written, "params"):
            written = f"cel.bind(params, dyn({cel_functions.literal(self._params)}), {written})"
        return written


def activation(values: Mapping[str, Any]) -> cel.Activation:
    """What all expressions of a request are evaluated over. It is read when an expression first asks for it."""
    return _environment({}).Activation(dict(values))


def _compile_error(text: str) -> CompileError:
    found = _ERROR.search(text)
    if found is None:
        if "recursion limit" in text:
            return CompileError(1, 1, "it nests deeper than 32; name parts of it under variables")
        return CompileError(1, 1, text.split("\n")[0].removesuffix("]").rpartition("[")[0].strip() or text)
    reason = re.sub(r"\s*\(in container '.*?'\)", "", found[3]).removesuffix("[INVALID_ARGUMENT]").strip()
    reason = reason.partition(" expecting {")[0].removeprefix("Syntax error: ")
    reason = "it ends too early" if "'<EOF>'" in reason else reason
    reason = reason.replace("token recognition error at:", "this is no CEL:")
    missing = re.match(r"undeclared reference to '(\w+)", reason)
    if missing is not None and missing[1] in cel_functions.FUNCTIONS:
        count = cel_functions.FUNCTIONS[missing[1]][0]
        reason = f"{missing[1]} takes {count} argument{'s' if count > 1 else ''}"
    elif missing is not None:
        reason += f"; there are {', '.join(VARIABLES)}, params, variables and the functions in docs/policy.md"
    return CompileError(int(found[1]), int(found[2]), reason)


_bare: list[cel.Env] = []


def _environment(types: Mapping[str, Any]) -> cel.Env:
    if not types and _bare:
        return _bare[0]
    try:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings
    except ImportError:
        raise MissingRuntime from None
    kinds = cel.Type
    dyn = dict.fromkeys((*VARIABLES, "params"), kinds.DYN)
    signatures = {
        "quantity": (kinds.DOUBLE, [kinds.DYN]),
        "isQuantity": (kinds.BOOL, [kinds.DYN]),
        "compareVersions": (kinds.INT, [kinds.STRING, kinds.STRING]),
        "isVersion": (kinds.BOOL, [kinds.STRING]),
    }
    env = cel.NewEnv(
        variables={**dyn, **{f"variables.{name}": kind for name, kind in types.items()}},
        extensions=[
            ext_strings.ExtStrings(),
            ext_math.ExtMath(),
            ext_optional.ExtOptional(),
            ext_bindings.ExtBindings(),
            ext_encoders.ExtEncoders(),
        ],
        functions=[
            cel.FunctionDecl(name, [cel.Overload(f"{name}_stateward", return_type=gives, parameters=takes)])
            for name, (gives, takes) in signatures.items()
        ],
    )
    if not types:
        _bare.append(env)
    return env
