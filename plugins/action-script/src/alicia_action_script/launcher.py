"""Run as a script: the process that starts the programs of a host, and cleans up after each.

``launcher.py FD``: FD is a Unix stream socket to the host. For each run the host sends one byte
over it with five descriptors: the run's own socket, the specification (a file with JSON, see
:func:`become`), and the program's standard input, output and error.

On the run's socket the host has written one JSON line, ``{"mark": …, "grace": …}``. What comes
back is a line ``{"failed": …}`` from the child when it cannot become the program, and at the end
``{"ended": …}`` from here. When the host closes its side for writing, the run is stopped: SIGTERM
(and SIGCONT, for what is stopped) to everything of it, and SIGKILL after ``grace`` seconds, again
and again until nothing is left. The same follows when the program has ended and left something
behind.

"Everything of it" is the program's process group, and what slipped out of the group with setsid:
orphans become children of this process (PR_SET_CHILD_SUBREAPER), and ``mark`` in their environment
says whose they are.

When the host is gone, even by SIGKILL, its end of FD closes, and all that runs is killed. When this
process is killed, each program gets SIGKILL from the kernel (PR_SET_PDEATHSIG).

It imports only what it needs and has a single thread: here, and only here, is it safe to run Python
between fork and exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pwd
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PF_KTHREAD = 0x00200000

DESCRIPTORS = 5
"""Descriptors that come with each request."""

TICK = 0.02
"""Seconds between two looks at a run that is being ended."""

LINGER = 0.5
"""Seconds that what a finished program left behind has between SIGTERM and SIGKILL."""

KILLS = 100
"""How often SIGKILL is sent, a tick or more apart, before what still lives cannot be killed
(another user's process, or one that waits in the kernel). Counted: a machine may stand still."""

LIMITS = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "memory": resource.RLIMIT_AS,
    "file_size": resource.RLIMIT_FSIZE,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
}

BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that do not reach the launcher."""

CHILDREN = f"/proc/self/task/{os.getpid()}/children"


class Run:
    """One program and everything that it started.

    Args:
        pid: of the program, which leads a process group of this number.
        conn: the run's socket to the host.
        mark: what its environment says, as ``NAME=value``.
        grace: seconds between SIGTERM and SIGKILL.
        leaders: the programs that have not ended, by pid; all others are somebody's orphans.

    Attributes:
        ended: wait status of the program and the CPU seconds it used, once it has ended.
        kill_at: when the next SIGKILL follows; None while the run is not being ended.
        kills: how many were sent.
    """

    def __init__(
        self, pid: int, conn: socket.socket, mark: str, grace: float, leaders: dict[int, Run]
    ) -> None:
        self.conn = conn
        self.grace = grace
        self.ended: tuple[int, float] | None = None
        self.kill_at: float | None = None
        self.kills = 0
        self._pid = pid
        self._group: int | None = pid
        self._mark = mark.encode()
        self._leaders = leaders
        self._asked: set[int] = set()

    def signal(self, *signals: int) -> None:
        """Send signals to the group and to what slipped out of it."""
        if self._group is not None:
            for signum in signals:
                with contextlib.suppress(OSError):
                    self._signal_group(self._group, signum)
        self._signal_escaped(self._escaped()[0], *signals)

    def kill(self, again: float) -> None:
        """Send SIGKILL, and see at ``again`` whether that was enough."""
        self.kill_at = again
        self.kills += 1
        self.signal(signal.SIGKILL)

    def ask_escaped(self) -> None:
        """Ask to end what came to light since the group was asked."""
        new = [pid for pid in self._escaped()[0] if pid not in self._asked]
        self._signal_escaped(new, signal.SIGTERM, signal.SIGCONT)

    def _signal_group(self, group: int, signum: int) -> None:
        try:
            os.killpg(group, signum)
        except ProcessLookupError:
            if self.ended is None:  # the child has not come to make the group yet
                os.kill(self._pid, signum)

    def _signal_escaped(self, pids: list[int], *signals: int) -> None:
        self._asked.update(pids)
        for pid in pids:
            for signum in signals:
                with contextlib.suppress(OSError):
                    os.kill(pid, signum)

    def alive(self) -> bool:
        """Whether anything is left of it."""
        if self.ended is None:
            return True
        if self._group is not None:
            try:
                os.killpg(self._group, 0)
            except ProcessLookupError:
                self._group = None  # from now on the number may be another's
            except PermissionError:
                return True
            else:
                return True
        escaped, sure = self._escaped()
        return bool(escaped) or not sure

    def _escaped(self) -> tuple[list[int], bool]:
        """Orphans that bear the mark of this run, and whether that is surely all."""
        return bearers(self._mark, self._orphans)

    def _orphans(self) -> list[int]:
        return [pid for pid in _children() if pid not in self._leaders]


def bearers(mark: bytes, listed: Callable[[], Iterable[int]]) -> tuple[list[int], bool]:
    """The processes with a mark in their environment.

    One look cannot tell that there is none: while it goes from process to process one of them
    ends, and its child comes to where the look has been. So it looks until nothing new is there.

    Args:
        mark: ``NAME=value``.
        listed: lists the processes that come into question.

    Returns:
        those that were found, and whether there is surely no other.
    """
    clear: set[int] = set()
    while new := [pid for pid in listed() if pid not in clear]:
        verdicts = {pid: _bears(pid, mark) for pid in new}
        found = [pid for pid, verdict in verdicts.items() if verdict]
        if found or None in verdicts.values():
            return found, False
        clear.update(new)
    return [], True


def _bears(pid: int, mark: bytes) -> bool | None:
    """Whether a process bears a mark; None when that cannot be told at the moment.

    In the middle of execve(2) a process has no environment, neither the old nor the new one. Nor
    has one in the middle of its exit, while its children are not orphans yet.
    """
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - start-up time
            # The first may have ended before the others: it has no environment then.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                environ = _read(f"/proc/{pid}/task/{task}/environ")
                if environ:
                    return mark in environ.split(b"\0")
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # it is gone, or another user's
    except OSError:  # no descriptors
        return None
    # Fields 3, 9, 20, 50 and 51 of proc_pid_stat(5).
    state, flags, threads, start, end = (fields[number - 3] for number in (3, 9, 20, 50, 51))
    if int(flags) & PF_KTHREAD or (state in b"ZX" and int(threads) <= 1):
        return False
    return False if start == end != b"0" else None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
        return file.read()


def _children() -> list[int]:
    """The children of this process: programs, and orphans of theirs."""
    try:
        return [int(pid) for pid in _read(CHILDREN).split()]
    except OSError:
        return []


class Launcher:
    """Serves one host until it is gone.

    Args:
        control: the socket to the host.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._runs: list[Run] = []
        self._leaders: dict[int, Run] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, wake_writer = socket.socketpair()
        for end in (self._wake, wake_writer):
            end.setblocking(False)
        self._wake_writer = wake_writer
        signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The host is told to stop, and ends what runs; this process ends after the host. Blocked,
        # not ignored, so that a child which is told to end before it is the program does so.
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)

    def serve(self) -> None:
        """Start programs until the host is gone, then end what is left."""
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        while self._turn():
            pass
        for run in self._runs:
            run.kill_at = time.monotonic()
        while self._runs:
            self._tend()
            time.sleep(TICK)
            self._reap()
        for _ in range(KILLS):
            for pid in _children():  # orphans without a mark
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            if not _children():
                break
            time.sleep(TICK)
        signal.set_wakeup_fd(-1)

    def _turn(self) -> bool:
        """Wait for something to do, and do it; False when the host is gone."""
        ending = any(run.kill_at is not None for run in self._runs)
        for key, _ in self._selector.select(TICK if ending else None):
            if key.fileobj is self._control:
                if not self._accept():
                    return False
            elif key.fileobj is self._wake:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
            elif _closed(key.data.conn):
                self._selector.unregister(key.data.conn)
                self._stop(key.data, key.data.grace)
        self._reap()
        self._tend()
        return True

    def _accept(self) -> bool:
        """Take a request in and fork."""
        data, fds, _, _ = socket.recv_fds(self._control, 1, DESCRIPTORS)
        if not data:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)  # no race: only this thread forks
        if len(fds) != DESCRIPTORS:  # no room for them here: the host sees its ends closed
            for fd in fds:
                os.close(fd)
            return True
        conn = socket.socket(fileno=fds[0])
        terms = json.loads(conn.recv(4096))
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _say(conn, {"failed": {"stage": "fork", "errno": error.errno}})
            conn.close()
        else:
            if pid == 0:
                become(parent, conn, *fds[1:])
            run = Run(pid, conn, terms["mark"], terms["grace"], self._leaders)
            self._runs.append(run)
            self._leaders[pid] = run
            self._selector.register(conn, selectors.EVENT_READ, run)
        for fd in fds[1:]:
            os.close(fd)
        return True

    def _reap(self) -> None:
        """Take leave of every child that has ended, programs and orphans alike."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            run = self._leaders.pop(pid, None)
            if run is not None:
                run.ended = (status, usage.ru_utime + usage.ru_stime)

    def _stop(self, run: Run, grace: float) -> None:
        if run.kill_at is None:
            run.kill_at = time.monotonic() + grace
            run.signal(signal.SIGTERM, signal.SIGCONT)

    def _tend(self) -> None:
        """Bring the runs that are ending to their end."""
        now = time.monotonic()
        for run in tuple(self._runs):
            if run.ended is None and run.kill_at is None:
                continue
            if not run.alive():
                self._finish(run)
            elif run.kill_at is None:
                self._stop(run, min(run.grace, LINGER))
            elif now >= run.kill_at:
                if run.kills < KILLS:
                    run.kill(again=now + TICK)
                else:
                    self._finish(run)
            elif not run.kills:
                run.ask_escaped()

    def _finish(self, run: Run) -> None:
        status, cpu = run.ended or (None, 0.0)
        exit_code = None if status is None else os.waitstatus_to_exitcode(status)
        ended = {"exit_code": exit_code, "cpu_seconds": round(cpu, 6), "survivors": run.alive()}
        _say(run.conn, {"ended": ended})
        with contextlib.suppress(KeyError):
            self._selector.unregister(run.conn)
        run.conn.close()
        self._runs.remove(run)


def become(parent: int, conn: socket.socket, spec_fd: int, *standard: int) -> NoReturn:
    """Turn this child into the program of a specification, or say why not and exit.

    The specification is an object with ``argv``, ``env``, ``kept`` (names in ``env`` that a user's
    own values must not replace), ``cwd``, ``user`` (or null), ``limits``, ``nice`` (or null), and
    ``no_new_privs``.
    """
    stage = "start"
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        _reset_signals()
        for number, fd in enumerate(standard):
            os.dup2(fd, number)
        with open(spec_fd, "rb") as file:
            file.seek(0)
            spec = json.load(file)
        env = spec["env"]
        for stage, value in spec["limits"].items():
            _limit(LIMITS[stage], value)
        if spec["nice"] is not None:
            stage = "nice"
            os.nice(spec["nice"])
        if spec["user"] is not None:
            stage = "user"
            _become_user(spec["user"], env, spec["kept"])
        stage = "cwd"
        os.chdir(spec["cwd"])
        stage = "leash"
        _leash(parent, spec["no_new_privs"])
        stage = "exec"
        _execute(spec["argv"], env)
    except OSError as error:
        _say(conn, {"failed": {"stage": stage, "errno": error.errno, "detail": error.filename}})
    except BaseException as error:  # noqa: BLE001 - the loop above must not go on in this child
        text = f"{type(error).__name__}: {error}"
        _say(conn, {"failed": {"stage": stage, "errno": None, "detail": text}})
    finally:
        os._exit(127)


def _reset_signals() -> None:
    """The dispositions and the mask that a program expects. exec itself resets handlers, but what
    is ignored stays so (Python ignores SIGPIPE and SIGXFSZ)."""
    for signum in signal.valid_signals():
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _limit(which: int, value: int) -> None:
    """Set a limit, as far as the limit of this process allows."""
    _, most = resource.getrlimit(which)
    soft = value if most == resource.RLIM_INFINITY else min(value, most)
    # SIGXCPU at the soft limit can be caught; a second later comes SIGKILL.
    hard = soft + 1 if which == resource.RLIMIT_CPU and soft != most else soft
    resource.setrlimit(which, (soft, hard))


def _become_user(user: str, env: dict[str, str], kept: list[str]) -> None:
    """Give up this process's user and groups for those of ``user``."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise FileNotFoundError(errno.ESRCH, "no such user") from None
    if os.geteuid() != entry.pw_uid:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    own = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    env.update({name: value for name, value in own.items() if name not in kept})


def _leash(parent: int, no_new_privs: bool) -> None:
    """Die with the launcher. After the change of user, which would slip the leash (prctl(2))."""
    if sys.platform != "linux":
        return
    if no_new_privs:
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it died before the leash was on
        os._exit(127)


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Become the program that ``argv[0]`` names, by its path or by the folders of PATH.

    Raises:
        OSError: with the path as ``filename``, if the program is there and cannot be executed.
    """
    problem: OSError = FileNotFoundError(errno.ENOENT, "no such program")
    folders = env.get("PATH", "").split(":")
    places = [f"{folder}/{argv[0]}" for folder in folders if folder]
    for place in [argv[0]] if "/" in argv[0] else places:
        try:
            os.execve(place, argv, env)  # noqa: S606 - no shell is what is wanted
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if not os.path.lexists(place):
                continue
            if not isinstance(error, PermissionError):
                raise  # what is missing is its interpreter
            problem = error
    raise problem


def _closed(conn: socket.socket) -> bool:
    """Whether the host has closed its side."""
    try:
        return not conn.recv(4096)
    except OSError:  # it did so without having read all that it was told
        return True


def _say(conn: socket.socket, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the host is gone, or no longer listens
        conn.sendall(json.dumps(what).encode() + b"\n")


LIBC = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Serve the host at the other end of the descriptor that is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    if sys.platform == "linux" and os.path.exists(CHILDREN):  # noqa: PTH110 - start-up time
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    Launcher(control).serve()


if __name__ == "__main__":
    main()
