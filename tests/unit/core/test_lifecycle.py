"""The life of an alert, action by action."""

from __future__ import annotations

from alertgraph.core.errors import ErrorCode
from alertgraph.core.lifecycle import Fire, decide
from tests.factories import a_draft, a_matcher, a_situation, an_alert


def test_a_scoped_key_does_not_rewrite_an_alert_that_it_may_not_see() -> None:
    theirs = an_alert(labels={"team": "theirs"})
    draft = a_draft(dedup_key=theirs.dedup_key, labels={"team": "ours"})

    decision = decide(Fire(draft), theirs, a_situation(scope=(a_matcher("team", "ours"),)))

    assert decision.problem is not None
    assert (decision.problem.code, decision.problem.path) == (ErrorCode.CONFLICT, ("dedupKey",))
    assert decision.alert is None
    assert decision.events == ()
