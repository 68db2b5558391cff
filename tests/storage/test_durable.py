"""Laws of writing: whenever a writer dies or fails, what it wrote before can be read, no litter stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from itertools import count

import pytest
from conftest import PROJECT
from killed import killed, needs_fork

from storage.durable import UNFINISHED, newest, replacing, write_file
from storage.lock import Held, holding
from storage.manifest import damage, read_checked
from storage.reading import ReadError, read_regular


def write_folder(folder, text):
    with replacing(folder) as new:
        (new / "first").write_text(text)
        (new / "below").mkdir()
        (new / "below" / "second").write_text(text)


def read_folder(folder):
    found = newest(folder)
    assert damage(found) is None
    first, second = ((found / name).read_text() for name in ("first", "below/second"))
    assert first == second
    return first


@needs_fork
def test_a_folder_whose_writer_is_killed_at_any_moment_holds_its_old_or_its_new_content(tmp_path, caplog):
    folder, seen, steps = tmp_path / "folder", [], 0
    for at in count():
        write_folder(folder, "old")
        if not killed(lambda: write_folder(folder, "new"), at):
            break
        seen.append(read_folder(folder))
        steps += 1
    assert steps >= 15 and set(seen) == {"old", "new"}
    assert seen == sorted(seen, reverse=True)  # once the new content can be read, the old one never is again
    assert "it is missing" in caplog.text  # between the two renames, and it is said
    write_folder(folder, "newest")
    assert read_folder(folder) == "newest" and [path.name for path in tmp_path.iterdir()] == ["folder"]


@needs_fork
def test_a_folder_written_for_the_first_time_is_complete_or_not_there(tmp_path):
    for at in count():
        folder = tmp_path / str(at) / "folder"
        if not killed(lambda folder=folder: write_folder(folder, "new"), at):
            break
        assert not folder.exists() or read_folder(folder) == "new"


@needs_fork
def test_a_file_whose_writer_is_killed_at_any_moment_holds_its_old_or_its_new_content(tmp_path):
    file, seen = tmp_path / "file", set()
    for at in count():
        write_file(file, "old")
        if not killed(lambda: write_file(file, "new"), at):
            break
        seen.add(file.read_text())
    assert seen == {"old", "new"}
    write_file(file, "newest")
    assert file.read_text() == "newest" and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    write_file(tmp_path / "file", "old"), write_folder(tmp_path / "folder", "old")

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "rename", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, disk_full)
            for place, write in (("file", write_file), ("folder", write_folder)):
                if (place, name) in (("file", "rename"), ("folder", "replace")):
                    continue
                with pytest.raises(OSError, match=r"disk is full: .*more than \d+ bytes, .* intact; free some space"):
                    write(tmp_path / place, "new")
        assert (tmp_path / "file").read_text() == read_folder(tmp_path / "folder") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_writers_at_the_same_time_disturb_neither_each_other_nor_a_reader(tmp_path):
    folder = tmp_path / "folder"
    write_folder(folder, "0")
    writers = [threading.Thread(target=lambda n=n: [write_folder(folder, str(n)) for _ in range(20)]) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert read_folder(folder) in "012" and [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_living_writer_has_not_finished_is_left_alone(tmp_path):
    with replacing(tmp_path / "slow") as new:
        (new / "file").write_text("slow")
        write_folder(tmp_path / "quick", "quick")
        assert (new / "file").exists()
    (tmp_path / f".dead.123{UNFINISHED}").mkdir()
    write_file(tmp_path / "file", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "quick", "slow"]


def test_a_folder_that_was_altered_is_noticed(tmp_path):
    write_folder(tmp_path / "folder", "content")
    first = tmp_path / "folder" / "first"
    assert read_checked(tmp_path / "folder", "first", 100) == b"content"
    (tmp_path / "folder" / "another").write_text("of the user's")
    assert damage(tmp_path / "folder") is None
    first.write_text("c0ntent")
    assert damage(tmp_path / "folder") == "first was altered"
    with pytest.raises(ReadError, match=r"first is damaged: it is not what manifest.json says"):
        read_checked(tmp_path / "folder", "first", 100)
    first.unlink()
    assert damage(tmp_path / "folder") == "first is missing"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "states no format"),
        ('{"format": true, "files": {}}', "states no format"),
        ('{"format": 2, "files": {}}', "this version reads up to 1"),
        ('{"format": 1}', "files is"),
        (json.dumps({"format": 1, "files": {"../file": {"bytes": 1, "sha256": ""}}}), "within the folder"),
        (json.dumps({"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}}), "within the folder"),
        (json.dumps({"format": 1, "files": {"file": {"bytes": 1.5, "sha256": ""}}}), "files is"),
        (json.dumps({"format": 1, "files": {str(i): {"bytes": 1, "sha256": ""} for i in range(1001)}}), "files is"),
        (" " * 1_000_001, "at most 1,000,000 are read"),
    ],
)
def test_a_manifest_of_nonsense_is_one_clear_error(tmp_path, manifest, message):
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ReadError, match=message):
        read_checked(tmp_path, "file", 100)


def test_only_regular_files_of_the_folder_are_read(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("secret")
    (folder / "inside").write_text("content")
    (folder / "link").symlink_to("inside")
    (folder / "out").symlink_to("../outside")
    (folder / "circle").symlink_to("circle")
    assert read_regular(folder / "link", 100) == b"content"
    with pytest.raises(ReadError, match="a link to elsewhere"):
        read_regular(folder / "out", 100)
    with pytest.raises(ReadError, match="cannot be read"):
        read_regular(folder / "circle", 100)
    with pytest.raises(ReadError, match="inside has 7 bytes; at most 6 are read"):
        read_regular(folder / "inside", 6)
    with pytest.raises(ReadError, match="not a regular file"):
        read_regular(folder, 100)
    with pytest.raises(FileNotFoundError):
        read_regular(folder / "nothing", 100)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        with pytest.raises(ReadError, match="not a regular file"):
            read_regular(folder / "pipe", 100)


def test_a_folder_is_held_by_one_process_until_that_ends_however_it_dies(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from storage.lock import holding\n"
        "with holding(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    arguments = [sys.executable, "-c", program, str(tmp_path / "run")]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(Held, match=rf"run is in use: process {other.pid} is writing to it"),
            holding(tmp_path / "run"),
        ):
            pass
        other.send_signal(signal.SIGKILL)
    with holding(tmp_path / "run"), pytest.raises(Held), holding(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
