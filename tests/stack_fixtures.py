"""The real PostgreSQL and Valkey under the whole test run: started once, before Django reads its settings."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from costhub.stack.postgres import OWNER, Postgres
from costhub.stack.valkey import Valkey
from tests.template import copy_template


@dataclass(frozen=True)
class TestStack:
    """Two running servers and the temporary directory that dies with them."""

    __test__ = False

    data_dir: Path
    postgres: Postgres
    valkey: Valkey

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """A further database with the production roles and grants, empty or a copy. Gives its owner's URL."""
        self.postgres.create_database(name, template=template)
        return self.postgres.url_for(OWNER, name)

    def stop(self) -> None:
        """Stop both servers and remove every file of theirs."""
        self.valkey.stop()
        self.postgres.stop()
        if self.data_dir not in self.postgres.home.parents:
            shutil.rmtree(self.postgres.home)
        shutil.rmtree(self.data_dir)


def start_test_stack() -> TestStack:
    """Start both servers on free ports and point DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL at them."""
    data_dir = make_data_dir()
    copy_template(data_dir)
    postgres, valkey = Postgres(data_dir, durable=False), Valkey(data_dir)
    stack = TestStack(data_dir, postgres, valkey)
    try:
        postgres.start()
        valkey.start()
        postgres.wait_ready()
        valkey.wait_ready()
    except BaseException:
        stack.stop()
        raise
    os.environ["DATABASE_URL"] = postgres.url_app
    os.environ["DATABASE_OWNER_URL"] = postgres.url_owner
    os.environ["REDIS_URL"] = valkey.url
    os.environ["COSTHUB_FILES_URL"] = (data_dir / "files").as_uri()
    return stack


def make_data_dir() -> Path:
    """A temporary directory that PostgreSQL's user may pass through, as a data directory made by `costhub up` is."""
    data_dir = Path(tempfile.mkdtemp(prefix="costhub-test-"))
    data_dir.chmod(0o711)
    return data_dir
