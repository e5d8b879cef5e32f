from tests.hub import Hub, Result


def test_list_of_nothing(hub: Hub) -> None:
    assert hub.run("list") == Result(
        0, err="no sessions; 'git hub-session init --task <text>' makes one\n"
    )


def test_a_session_is_listed(hub: Hub) -> None:
    assert hub.session().run("list") == Result(
        0,
        "SESSION ID  STATE  AGENTS  UPDATED        TASK\n"
        "s1          init   1       0 seconds ago  Make it fast\n",
    )
