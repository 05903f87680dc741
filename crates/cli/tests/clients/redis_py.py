"""redis-py against Evenkeel, as its users call it: `redis_py.py HOST PORT KEY`."""

import sys

import redis

host, port, key = sys.argv[1:]
DAY_S = 86400


def connect(**options):
    return redis.Redis(host=host, port=int(port), decode_responses=True, **options)


def refused(work, text):
    try:
        work()
    except redis.RedisError as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"it was not refused: {text}")


def throttle(client, name, burst=1):
    return client.execute_command("CL.THROTTLE", name, burst, 1, DAY_S)


refused(lambda: connect().ping(), "Authentication required")
refused(lambda: connect(password="ek_no_no").ping(), "invalid username-password pair")

for protocol in (2, 3):
    client = connect(password=key, protocol=protocol, client_name="tests")
    name = f"user:{protocol}"
    assert client.ping() is True
    assert client.client_getname() == "tests"
    assert client.info()["role"] == "master"
    assert throttle(client, name) == [0, 2, 1, -1, DAY_S]
    assert throttle(client, name)[:4] == [0, 2, 0, -1]
    limited, limit, remaining, retry_s, reset_s = throttle(client, name)
    assert (limited, limit, remaining) == (1, 2, 0)
    assert 0 < retry_s <= DAY_S and DAY_S < reset_s <= 2 * DAY_S
    refused(lambda: client.execute_command("CL.THROTTLE", name, 1, 0, 1), "Zero rates")
    refused(lambda: client.get(name), "unknown command")

    # Its pipelines are transactions unless they are told not to be.
    for options in ({}, {"transaction": False}):
        with client.pipeline(**options) as pipeline:
            for _ in range(500):
                throttle(pipeline, f"{name}:{options}", burst=299)
            answers = pipeline.execute()
        assert len(answers) == 500
        assert [answer[0] for answer in answers] == [0] * 300 + [1] * 200
    with client.pipeline() as pipeline:
        throttle(pipeline, f"{name}:last")
        pipeline.execute_command("CL.THROTTLE", "k", "x", 1, 1)
        throttle(pipeline, f"{name}:last")
        first, wrong, last = pipeline.execute(raise_on_error=False)
    assert (first[0], last[0]) == (0, 0) and isinstance(wrong, redis.ResponseError)

    client.execute_command(
        "LIMIT.PUT", "api", "ALGORITHM", "gcra", "QUANTITY", 1, "PERIOD-MS", DAY_S * 1000
    )
    check = client.execute_command("LIMIT.CHECK", "api", name, "ONCE", name)
    if protocol == 3:
        assert check["allowed"] is True, check
        assert check["results"][0]["remaining"] == 0, check
        again = client.execute_command("LIMIT.CHECK", "api", name)
        assert again["allowed"] is False, again
    else:
        assert check[:2] == ["allowed", 1], check

# A pool: many connections, used again.
client = connect(password=key, max_connections=8)
assert [client.ping() for _ in range(100)] == [True] * 100
print("ok")
