# Runs the script named on the command line as __main__, from inside the sandbox: everything here is
# confined already, and nothing outside believes a word of it. The text of a last bare expression
# goes to descriptor 3, so that it is never mixed into stdout.
import os
import sys
from _ast import Expr, Expression

ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without the price of importing ast
RESULT = 3


def load(path):
    with open(path, "rb") as file:
        tree = compile(file.read(), path, "exec", ONLY_AST, dont_inherit=True)
    last = None
    if tree.body and isinstance(tree.body[-1], Expr):
        last = compile(Expression(tree.body.pop().value), path, "eval", dont_inherit=True)
    return compile(tree, path, "exec", dont_inherit=True), last


def show(value, most):
    text = repr(value).encode("utf-8", "replace")
    if len(text) > most:
        text = text[:most].decode("utf-8", "ignore").encode()
    while text:
        text = text[os.write(RESULT, text):]


def main(path, most):
    os.set_inheritable(RESULT, False)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = [path]
    sys.path.insert(0, os.path.dirname(path))
    module = type(sys)("__main__")
    module.__file__, module.__builtins__ = path, __builtins__
    sys.modules["__main__"] = module
    depth = 1  # frames of ours on top of a traceback
    try:
        body, last = load(path)
        exec(body, module.__dict__)
        if last is not None:
            value = eval(last, module.__dict__)
            if value is not None:
                module.__dict__["_"] = value
                depth = 2
                show(value, most)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        if isinstance(error, SyntaxError) and error.filename == path:
            trace = None
        while depth and trace:
            trace, depth = trace.tb_next, depth - 1
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


main(sys.argv[1], int(sys.argv[2]))
