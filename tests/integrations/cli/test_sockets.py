"""The socket of a database's owner: wherever the database lies, and for one user."""

import os
import signal
import socket
import stat
import threading

import pytest

from stepwell.integrations import operation_socket
from stepwell.integrations.database import naming, requests
from stepwell.integrations.database.naming import Database
from stepwell.integrations.database.owning import owned

LONG = "a-folder-with-a-name-that-makes-paths-long-"


def in_folder(folder, name="w.db") -> Database:
    return naming.database(str(folder / name))


@pytest.mark.parametrize("name", ["w.db", f"{LONG * 3}.db"])
async def test_a_long_path(tmp_path, monkeypatch, name):
    folder = tmp_path.joinpath(LONG * 4)
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    named = in_folder(folder, name)
    assert len(str(named.file)) > 200
    open_files = len(os.listdir("/proc/self/fd"))
    async with owned(named) as (engine, _):
        assert await requests.owner(named) == {"pid": os.getpid()}
        answer = await operation_socket.request(named.socket, "list_state_machines")
        assert answer == await engine.list_state_machines()
        (path,) = folder.glob("*.sock")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.glob("*.sock")) == []
    assert len(os.listdir("/proc/self/fd")) == open_files
    assert await requests.owner(named) is None


def listen_as_another_user(listener: socket.socket) -> int:
    """In a process of its own, without a new program, which that user could not read. Its id."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        listener.listen()
        os.write(theirs, b".")
        listener.accept()[0].sendall(b'{"answer": {"pid": 1}}\n')
        os._exit(0)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
async def test_a_socket_of_another_user_is_not_asked(tmp_path):
    """In a folder that others may write to, another user may have put it there."""
    named = in_folder(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(named.socket))
        child = listen_as_another_user(listener)
        assert await requests.owner(named) is None
        end(child)


async def test_what_is_no_socket_of_ours_does_not_stop_the_owner(tmp_path):
    named = in_folder(tmp_path)
    named.socket.mkdir()
    async with owned(named) as (engine, _):
        assert (await engine.list_state_machines())["stateMachines"] == []
        assert await requests.owner(named) is None


async def test_a_socket_without_an_answer(tmp_path):
    named = in_folder(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(named.socket))
    listener.listen()

    def close_the_first() -> None:
        listener.accept()[0].close()

    closer = threading.Thread(target=close_the_first)
    closer.start()
    assert await requests.owner(named) is None
    closer.join()
    listener.close()
