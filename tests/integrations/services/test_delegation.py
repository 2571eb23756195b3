"""Services are composed of parts, and offer their operations."""

from pathlib import Path

from tests.integrations.services.embedded_engine import EmbeddedEngine

from stepwell.engine.delegation import delegated


async def test_every_delegated_operation_is_one_of_the_part_that_it_names(tmp_path: Path) -> None:
    house = EmbeddedEngine(tmp_path / "parts.db")
    await house.open()
    try:
        found = 0
        for service in (await house.registry.host.services.open()).values():
            for name, each in vars(type(service)).items():
                if isinstance(each, delegated):
                    found += 1
                    assert name == each.method, name
                    assert getattr(service, name).__self__ is getattr(service, each.part), name
        assert found
    finally:
        await house.close()
