r"""Atomic instructions, a mutex and a condition variable, which the threads of `pool.py` use within Numba's code.

    load, store, add, compare_and_swap     read or write a word of a state atomically: a thread that reads a word also
                                           sees all that the writing thread had written before it
    pause, yield_core                      what a thread does while it waits for a short time
    core                                   the number of the core that the thread runs on, where the C library knows it
    lock, unlock, wait_for, signal         a mutex and a condition variable of the C library, for a thread that sleeps
    address, call                          a loop and its arguments as two numbers, which any thread can call

A state is an array of int64, and a place is an index into it.
"""

import ctypes
import os
import platform

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PAUSE = {"x86_64": "llvm.x86.sse2.pause", "AMD64": "llvm.x86.sse2.pause"}.get(platform.machine())
_TASK = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 3)


def _posix(name, *arguments):
    """A function of the C library. On Windows the pool has one thread: a function stands in, and is never called."""
    library = ctypes.CDLL(None if os.name == "posix" else "ucrtbase")
    function = getattr(library, name if os.name == "posix" else "_getpid")
    llvmlite.binding.add_symbol(f"minae_{name}", ctypes.cast(function, ctypes.c_void_p).value)
    return types.ExternalFunction(f"minae_{name}", types.int32(*arguments))


WORDS = types.CPointer(types.int64)
yield_core = _posix("sched_yield")
KNOWS_CORE = os.name == "posix" and hasattr(ctypes.CDLL(None), "sched_getcpu")  # on Linux
core = _posix("sched_getcpu" if KNOWS_CORE else "getpid")
init_mutex = _posix("pthread_mutex_init", WORDS, types.intp)
init_condition = _posix("pthread_cond_init", WORDS, types.intp)
lock, unlock = _posix("pthread_mutex_lock", WORDS), _posix("pthread_mutex_unlock", WORDS)
signal, wait_for = _posix("pthread_cond_signal", WORDS), _posix("pthread_cond_wait", WORDS, WORDS)


@intrinsic
def load(typingctx, state, place):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_word(context, builder, signature, args), "acquire", 8)

    return types.int64(state, place), codegen


@intrinsic
def store(typingctx, state, place, value):
    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[2], signature.args[2], types.int64)
        builder.store_atomic(value, _word(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(state, place, value), codegen


@intrinsic
def add(typingctx, state, place, value):
    """Add to a word. Returns its former value."""

    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[2], signature.args[2], types.int64)
        return builder.atomic_rmw("add", _word(context, builder, signature, args), value, "acq_rel")

    return types.int64(state, place, value), codegen


@intrinsic
def compare_and_swap(typingctx, state, place, old, new):
    """Write `new` where the word is `old`. Returns whether it was."""

    def codegen(context, builder, signature, args):
        old, new = (context.cast(builder, args[i], signature.args[i], types.int64) for i in (2, 3))
        word = _word(context, builder, signature, args)
        return builder.extract_value(builder.cmpxchg(word, old, new, "acq_rel", "acquire"), 1)

    return types.boolean(state, place, old, new), codegen


def _word(context, builder, signature, args):
    state = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(state.data, [context.cast(builder, args[1], signature.args[1], types.int64)])


@intrinsic
def pause(typingctx):
    def codegen(context, builder, signature, args):
        if PAUSE:
            builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), []), PAUSE), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call(typingctx, code, data, start, stop):
    """Call the loop at `code` with its arguments at `data`, on one part."""

    def codegen(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], _TASK.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def address(typingctx, loop, arguments):
    """The addresses of the task loop(start, stop, *arguments): that of its code, and that of its arguments.

    The arguments lie on the stack of the calling thread, where they stay until `pool.run` has seen the last part done.
    """
    signature = loop.get_call_type(typingctx, (types.uint64, types.uint64, *arguments.types), {})

    def codegen(context, builder, _, args):
        compiled = loop.dispatcher.overloads[signature.args]
        context.active_code_library.add_linking_library(compiled.library)
        data = cgutils.alloca_once_value(builder, args[1])
        task = ir.Function(builder.module, _TASK, name=f"task.{compiled.fndesc.mangled_name}")
        task.linkage = "internal"
        inside = ir.IRBuilder(task.append_basic_block())
        given = inside.load(inside.inttoptr(task.args[0], data.type))
        values = [*task.args[1:], *(inside.extract_value(given, i) for i in range(len(arguments.types)))]
        function = context.declare_function(builder.module, compiled.fndesc)
        context.call_conv.call_function(inside, function, signature.return_type, signature.args, values)
        inside.ret_void()
        pair = [builder.ptrtoint(task, ir.IntType(64)), builder.ptrtoint(data, ir.IntType(64))]
        return context.make_tuple(builder, types.UniTuple(types.int64, 2), pair)

    return types.UniTuple(types.int64, 2)(loop, arguments), codegen
