"""A pytest plugin: a thousand made-up images, and PyTorch's own loop, which needs no compiling."""

from tests.data import made_up


def pytest_configure():
    # Imported only now, as pytest rewrites the assertions of plugins that are not imported yet.
    import harness.cluster.driver
    import harness.plugin.fixtures
    import harness.plugin.session
    import model.engines.proof

    harness.plugin.fixtures.load = harness.cluster.driver.load = lambda *_: made_up()
    harness.plugin.session.prepare = lambda *_: None
    model.engines.proof.kept_answer = lambda *_: model.engines.proof.ProofResult("it is not tried here")
