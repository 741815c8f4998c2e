"""Carriers' names: asked of the API, fallen back on the file, asked again until the API tells."""

from seawall import ErrorRecoveryManager
from seawall.cli.demo import data
from seawall.cli.demo.carriers import Carriers


class Response:
    def __init__(self, name):
        self._name = name

    def raise_for_status(self):
        pass

    def json(self):
        return {"name": self._name}


class Client:
    """Answers ``told <code>``, but refuses the first ``failures`` requests."""

    def __init__(self, failures=0):
        self.failures = failures
        self.asked = []

    async def get(self, path):
        self.asked.append(path.rpartition("/")[2])
        if len(self.asked) <= self.failures:
            raise ConnectionError("refused")
        return Response("told " + self.asked[-1])


async def test_carriers_name_from_the_api_is_asked_once():
    client = Client()
    carriers = Carriers(ErrorRecoveryManager(), client)
    assert await carriers.learn({"UA", "AA"}) == [
        ("AA", "told AA", "api"),
        ("UA", "told UA", "api"),
    ]
    assert await carriers.learn({"UA", "AA"}) == []
    assert client.asked == ["AA", "UA"]


async def test_carriers_failure_is_retried_before_the_file_is_asked():
    client = Client(failures=2)
    carriers = Carriers(ErrorRecoveryManager(), client)
    assert await carriers.learn({"UA"}) == [("UA", "told UA", "api")]
    assert client.asked == ["UA"] * 3


async def test_carriers_name_from_the_file_is_asked_again_until_the_api_tells():
    carriers = Carriers(ErrorRecoveryManager(), Client(failures=3))
    assert await carriers.learn({"UA"}) == [("UA", data.carriers()["UA"], "file")]
    assert await carriers.learn({"UA"}) == [("UA", "told UA", "api")]


async def test_carriers_with_the_breaker_open_come_from_the_file_unasked():
    client = Client(failures=100)
    carriers = Carriers(ErrorRecoveryManager(), client)
    learnt = await carriers.learn({"AA", "DL", "UA"})
    assert {source for _, _, source in learnt} == {"file"}
    assert len(client.asked) == 4  # the threshold; nine without the breaker
