r"""What the threads of `team.py` need of the machine, as instructions within Numba's code.

    load, store, add, swap     a word of a state, atomically: what one thread wrote before, another sees after
    pause, give_way            for a thread that waits
    lock … listen              a mutex and a condition variable of the C library: for one that sleeps
    address, call              a loop and its arguments as two numbers, which any thread can take up

The states are arrays of int64, and places in them are indices.
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
_JOB = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 3)


def _posix(name, *arguments):
    """A function of the C library; on Windows, where a team has one thread, one that is there and never called."""
    library = ctypes.CDLL(None if os.name == "posix" else "ucrtbase")
    function = getattr(library, name if os.name == "posix" else "_getpid")
    llvmlite.binding.add_symbol(f"minae_{name}", ctypes.cast(function, ctypes.c_void_p).value)
    return types.ExternalFunction(f"minae_{name}", types.int32(*arguments))


WORDS = types.CPointer(types.int64)
give_way = _posix("sched_yield")
init_mutex, init_bell = _posix("pthread_mutex_init", WORDS, types.intp), _posix("pthread_cond_init", WORDS, types.intp)
lock, unlock = _posix("pthread_mutex_lock", WORDS), _posix("pthread_mutex_unlock", WORDS)
ring, listen = _posix("pthread_cond_signal", WORDS), _posix("pthread_cond_wait", WORDS, WORDS)


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
    """The word's former value."""

    def codegen(context, builder, signature, args):
        value = context.cast(builder, args[2], signature.args[2], types.int64)
        return builder.atomic_rmw("add", _word(context, builder, signature, args), value, "acq_rel")

    return types.int64(state, place, value), codegen


@intrinsic
def swap(typingctx, state, place, old, new):
    """Whether the word was `old`, and has become `new`."""

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
def call(typingctx, job, data, start, stop):
    def codegen(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], _JOB.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def address(typingctx, loop, arguments):
    """Where the machine finds the job loop(start, stop, *arguments): its code, and its arguments on this stack, where
    they stay until `share` has seen the last part done."""
    signature = loop.get_call_type(typingctx, (types.uint64, types.uint64, *arguments.types), {})

    def codegen(context, builder, _, args):
        compiled = loop.dispatcher.overloads[signature.args]
        context.active_code_library.add_linking_library(compiled.library)
        data = cgutils.alloca_once_value(builder, args[1])
        job = ir.Function(builder.module, _JOB, name=f"job.{compiled.fndesc.mangled_name}")
        job.linkage = "internal"
        inside = ir.IRBuilder(job.append_basic_block())
        given = inside.load(inside.inttoptr(job.args[0], data.type))
        values = [*job.args[1:], *(inside.extract_value(given, i) for i in range(len(arguments.types)))]
        function = context.declare_function(builder.module, compiled.fndesc)
        context.call_conv.call_function(inside, function, signature.return_type, signature.args, values)
        inside.ret_void()
        pair = [builder.ptrtoint(job, ir.IntType(64)), builder.ptrtoint(data, ir.IntType(64))]
        return context.make_tuple(builder, types.UniTuple(types.int64, 2), pair)

    return types.UniTuple(types.int64, 2)(loop, arguments), codegen
