"""Tiny scripts that tell a process run by python from one that is run by anything else."""

SCRIPTS = {
    "arguments": "import sys; print(sys.argv, sys.orig_argv[1:], sys.path[0])",
    "names of main": """
        print(list(globals()), __name__, __file__, __doc__, __package__, __spec__, __cached__, __annotations__)
        print(type(__loader__), __loader__.name, __loader__.path, __builtins__)
        """,
    "docstring": '"""What it does."""\nprint(__doc__)',
    "guard": "if __name__ == '__main__':\n    print('main')",
    "import main": "import __main__\nx = 3\nprint(__main__.x, __main__.__file__ == __file__)",
    "pickle": """
        import pickle
        class Model:
            w = 1
        copy = pickle.loads(pickle.dumps(Model()))
        print(copy.w, type(copy) is Model, Model.__module__)
        """,
    "dataclass": """
        from __future__ import annotations
        import dataclasses, typing
        @dataclasses.dataclass
        class Config:
            lr: float = 0.1
            next: Config | None = None
        print(Config(), typing.get_type_hints(Config))
        """,
    "getsource": """
        import inspect
        class A:
            def f(self):
                return 1
        print(inspect.getsource(A), inspect.getsourcefile(A.f), inspect.getmodule(A.f).__name__)
        """,
    "doctest": """
        def double(x):
            '''
            >>> double(2)
            5
            '''
            return 2 * x
        import doctest
        print(doctest.testmod())
        """,
    "unittest": """
        import unittest
        class Case(unittest.TestCase):
            def test(self):
                self.assertEqual(1, 1)
        unittest.main(argv=['x'], testRunner=unittest.TextTestRunner(stream=open('/dev/null', 'w')))
        """,
    "exec other": "exec(open('other.py').read())\nprint(from_other)",
    "runpy other": "import runpy; print(sorted(runpy.run_path('other.py'))[-1])",
    "local import": "import neighbour; print(neighbour.__file__)",
    "module named click": "import click; print(click.LOCAL)",
    "exception": "def f(x):\n    return 1 / x\n\nf(0)",
    "chained": """
        try:
            {}['a']
        except KeyError as error:
            raise RuntimeError('outer') from error
        """,
    "context": """
        try:
            {}['a']
        except KeyError:
            raise RuntimeError('outer')
        """,
    "notes and groups": """
        a = ValueError('a'); a.add_note('hint')
        raise ExceptionGroup('many', [a, TypeError('b')])
        """,
    "base exception": "class Stop(BaseException): pass\nraise Stop('now')",
    "recursion": "def f(): f()\nimport sys; sys.setrecursionlimit(200)\ntry: f()\nexcept RecursionError: print('deep')",
    "syntax error": "x = 1\nfor:\n",
    "late syntax error": "print('a')\nreturn 1\n",
    "indentation": "if True:\n    x = 1\n  y = 2\n",
    "null byte": "x = 1\0\n",
    "warning then syntax error": "x = '\\d'\nfor:\n",
    "syntax warning": "x = 1 is 1\nprint(x)",
    "exit none": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit true": "raise SystemExit(True)",
    "exit 256": "raise SystemExit(256)",
    "exit -1": "raise SystemExit(-1)",
    "exit huge": "raise SystemExit(2**70)",
    "exit text": "import sys; print('o'); sys.exit('failed: é')",
    "exit tuple": "raise SystemExit(1, 2)",
    "exit object": "class A:\n    def __str__(self): raise ValueError\nraise SystemExit(A())",
    "exit in function": "def main():\n    return 4\nraise SystemExit(main())",
    "quit": "quit(5)",
    "os._exit": "import os, sys; print('unflushed', end=''); sys.stderr.write('e'); os._exit(6)",
    "os._exit in handler": "import atexit, os; atexit.register(os._exit, 9)",
    "excepthook": "import sys; sys.excepthook = lambda t, v, tb: print('hook', t, v, tb.tb_lineno)\n1 / 0",
    "excepthook fails": "import sys\ndef hook(*a): raise KeyError('in hook')\nsys.excepthook = hook\n1 / 0",
    "excepthook exits": "import sys\ndef hook(*a): sys.exit(12)\nsys.excepthook = hook\n1 / 0",
    "excepthook exits after interrupt": """
        import sys
        sys.excepthook = lambda *a: sys.exit(12)
        raise KeyboardInterrupt
        """,
    "excepthook deleted": "import sys\ndel sys.excepthook\n1 / 0",
    "last exception": """
        import atexit, sys
        atexit.register(lambda: print(sys.last_type, sys.last_value, sys.last_traceback.tb_frame.f_code.co_name))
        1 / 0
        """,
    "atexit order": """
        import atexit
        atexit.register(print, 'first registered')
        atexit.register(print, 'last registered')
        import threading
        print(threading.main_thread().is_alive())
        atexit.register(lambda: print(threading.main_thread().is_alive()))
        """,
    "atexit fails": "import atexit\ndef bad(): raise ValueError('late')\natexit.register(bad)\nprint('x')",
    "atexit and exception": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "thread outlives main": """
        import threading, time
        def work():
            time.sleep(0.2); print('thread done', flush=True)
        import atexit
        atexit.register(print, 'handlers after threads')
        threading.Thread(target=work).start()
        print('main done', flush=True)
        """,
    "executor": """
        import concurrent.futures as c
        pool = c.ThreadPoolExecutor(1)
        pool.submit(lambda: print('in pool', flush=True))
        raise SystemExit(3)
        """,
    "thread exception": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T')\nt.start(); t.join()",
    "interrupt": "raise KeyboardInterrupt",
    "interrupt by signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)",
    "interrupt caught": """
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            print('saved')
            raise SystemExit(130)
        """,
    "sigterm": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "fork": """
        import os, sys
        child = os.fork()
        if child == 0:
            print('child', flush=True)
            sys.exit(3)
        print('status', os.waitpid(child, 0)[1], flush=True)
        """,
    "fork raises": "import os\nif os.fork() == 0:\n    1 / 0\nprint(os.wait()[1])",
    "fork _exit": "import os\nif os.fork() == 0:\n    os._exit(4)\nprint(os.wait()[1])",
    "exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(1); raise SystemExit(3)'])",
    "exec fails": "import os\ntry: os.execv('/nonexistent', ['x'])\nexcept OSError as e: print(e)\nprint('goes on')",
    "exec fails uncaught": "import os\ndef f(): os.execvp('no-such-program', ['x'])\nf()",
    "exec fails in a chain": """
        import os
        try:
            os.execv('/nonexistent', ['x'])
        except OSError as error:
            raise ExceptionGroup('both', [error, ValueError('v')]) from error
        """,
    "execlp": "import os\nos.execlp('sh', 'sh', '-c', 'echo hi; exit 5')",
    "stdin": "import sys; print(sys.stdin.read())",
    "warnings": """
        import warnings
        for _ in range(3):
            warnings.warn('once')
        warnings.warn('old', DeprecationWarning)
        """,
    "flags": "import sys; print(sys.flags, sys.warnoptions, sys.dont_write_bytecode)",
    "encoding cookie": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))",
    "bom": b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))",
    "not utf-8": b"print('\xe9')\n",
    "carriage returns": b"print(1)\r\nprint('''a\r\nb''')\r\n1 / 0\r\n",
    "environment": "import os; print({k: v for k, v in os.environ.items() if not k.startswith('FAKE')})",
    "del at exit": "class A:\n    def __del__(self): print('gone')\na = A()",
    "stack of functions": """
        import traceback
        def f():
            return [s.name for s in traceback.extract_stack()][-2:]
        print(f())
        """,
    "spawn pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('spawn').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "fork pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('fork').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "forkserver pool": """
        import multiprocessing as mp
        def square(x):
            return x * x, __name__
        if __name__ == '__main__':
            with mp.get_context('forkserver').Pool(2) as pool:
                print(pool.map(square, range(3)))
        """,
    "process exit code": """
        import multiprocessing as mp, sys
        def work():
            sys.exit(7)
        if __name__ == '__main__':
            for method in ('fork', 'spawn'):
                p = mp.get_context(method).Process(target=work); p.start(); p.join(); print(p.exitcode)
        """,
}
