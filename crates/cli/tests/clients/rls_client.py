"""Envoy's rate limit service as a Python gRPC client sees it, with Envoy's own messages.

Run by `envoy.rs`: argv is the address, the key, the directory of rules and the name of a scenario. A
failed assertion is the test's.
"""

import os
import sys
import time

import grpc
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from envoy.type.v3 import ratelimit_unit_pb2
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

OK, OVER = rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT
UNIT = rls_pb2.RateLimitResponse.RateLimit
UNLIMITED = 2**32 - 1
# How long anything that is waited for may take.
PATIENCE_S = 30


def descriptor(*entries, hits=None, negative=False, limit=None):
    """A descriptor of (key, value) pairs."""
    made = ratelimit_pb2.RateLimitDescriptor()
    for key, value in entries:
        made.entries.add(key=key, value=value)
    if hits is not None:
        made.hits_addend.value = hits
    if limit is not None:
        made.limit.requests_per_unit, made.limit.unit = limit
    if negative:
        # Field 4, is_negative_hits: newer than the messages of this package.
        made.MergeFromString(b"\x20\x01")
    return made


class Client:
    def __init__(self, address, key):
        self.channel = grpc.insecure_channel(address)
        self.stub = rls_pb2_grpc.RateLimitServiceStub(self.channel)
        self.metadata = [("authorization", f"Bearer {key}")] if key else []

    def ask(self, domain, *descriptors, hits=0, metadata=None):
        request = rls_pb2.RateLimitRequest(domain=domain, hits_addend=hits, descriptors=descriptors)
        return self.stub.ShouldRateLimit(
            request,
            metadata=self.metadata if metadata is None else metadata,
            timeout=PATIENCE_S,
        )

    def codes(self, domain, *descriptors, **more):
        """The overall code, and each descriptor's code and what it has left."""
        answer = self.ask(domain, *descriptors, **more)
        return answer.overall_code, [(one.code, one.limit_remaining) for one in answer.statuses]

    def refused(self, *asked, **more):
        """The gRPC code and the words with which a request fails."""
        try:
            self.ask(*asked, **more)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError(f"it was answered: {asked}")


def semantics(client, _rules):
    """What each request is answered; every limit is by the day, so no window ends meanwhile."""
    ip, other = descriptor(("remote_address", "10.0.0.1")), descriptor(("remote_address", "10.0.0.2"))
    status = client.ask("edge", ip).statuses[0]
    limit = status.current_limit
    assert (limit.requests_per_unit, limit.unit, limit.name) == (3, UNIT.DAY, "per-ip"), status
    assert status.code == OK and status.limit_remaining == 2, status
    assert 0 < status.duration_until_reset.ToSeconds() <= 25 * 3600, status

    # Each descriptor for itself: what fits is counted although another does not.
    assert client.codes("edge", ip, other, hits=2) == (OK, [(OK, 0), (OK, 1)])
    assert client.codes("edge", ip, other) == (OVER, [(OVER, 0), (OK, 0)])
    assert client.codes("edge", other) == (OVER, [(OVER, 0)])

    # A value of its own goes before the rule of its key; zero requests are none.
    banned = descriptor(("remote_address", "50.0.0.5"))
    assert client.codes("edge", banned) == (OVER, [(OVER, 0)])

    # Nested, with wildcards, and only to the full depth.
    deep = descriptor(("path", "/api/v1/users"), ("method", "POST"))
    assert client.codes("edge", deep) == (OK, [(OK, 1)])
    assert client.codes("edge", descriptor(("path", "/api/v1/users"))) == (OK, [(OK, 0)])
    assert client.codes("edge", descriptor(("path", "/other"), ("method", "POST"))) == (OK, [(OK, 0)])
    shared = [descriptor(("files", f"files/{name}")) for name in ("a", "b", "c")]
    assert client.codes("edge", *shared) == (OVER, [(OK, 1), (OK, 0), (OVER, 0)])

    # No rule, no limit; unlimited says so.
    nothing = client.ask("edge", descriptor(("nobody", "knows")))
    assert nothing.overall_code == OK and not nothing.statuses[0].HasField("current_limit"), nothing
    assert client.codes("unknown", ip) == (OK, [(OK, 0)])
    assert client.codes("edge", descriptor(("internal", "x"))) == (OK, [(OK, UNLIMITED)])

    # What only watches refuses nothing.
    shadow = descriptor(("shadow", "x"))
    assert [client.codes("edge", shadow) for _ in range(3)] == [(OK, [(OK, 0)])] * 3

    # A rule that replaces another: that one neither counts nor refuses.
    specific, general = descriptor(("user", "u")), descriptor(("special", "u"))
    assert client.codes("edge", specific, general, hits=2) == (OK, [(OK, 0), (OK, 3)])
    assert client.codes("edge", specific, hits=2) == (OK, [(OK, 0)])
    assert client.codes("edge", specific, general) == (OK, [(OK, 0), (OK, 2)])
    assert client.codes("edge", specific) == (OVER, [(OVER, 0)])


def hits(client, _rules):
    """Hits of the request and of the descriptor, none, too many, and back."""
    def key(**more):
        return descriptor(("remote_address", "10.1.0.1"), **more)

    assert client.codes("edge", key(hits=2), hits=1) == (OK, [(OK, 1)])
    assert client.codes("edge", key(hits=0)) == (OK, [(OK, 1)])
    assert client.codes("edge", key(hits=2)) == (OVER, [(OVER, 1)])
    assert client.codes("edge", key(hits=2**63)) == (OVER, [(OVER, 1)])
    assert client.codes("edge", key(hits=2, negative=True)) == (OK, [(OK, 3)])
    assert client.codes("edge", key(hits=9, negative=True)) == (OK, [(OK, 3)])
    assert client.codes("edge", key(hits=3)) == (OK, [(OK, 0)])
    # A request's own limit goes before the rule, and counts the same hits.
    limit = (5, ratelimit_unit_pb2.DAY)
    answer = client.ask("edge", key(limit=limit))
    assert answer.statuses[0].current_limit.requests_per_unit == 5, answer
    assert answer.statuses[0].limit_remaining == 1, answer


def errors(client, _rules):
    """What is refused, and how."""
    ip = descriptor(("remote_address", "10.2.0.1"))
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert client.refused("", ip) == (invalid, "rate limit domain must not be empty")
    assert client.refused("edge") == (invalid, "rate limit descriptor list must not be empty")
    assert client.refused("edge", *[ip] * 65) == (invalid, "a request has at most 64 descriptors")
    no_unit = descriptor(("a", "b"), limit=(1, 0))
    assert client.refused("edge", no_unit)[0] == invalid
    if client.metadata:
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        assert client.refused("edge", ip, metadata=[])[0] == unauthenticated
        wrong = [("authorization", "Bearer ek_0000000000000000_0")]
        assert client.refused("edge", ip, metadata=wrong)[0] == unauthenticated
    huge = descriptor(("remote_address", "x" * 100_000))
    assert client.refused("edge", huge)[0] == grpc.StatusCode.OUT_OF_RANGE
    long = descriptor(("remote_address", "y" * 10_000))
    assert client.codes("edge", long) == (OK, [(OK, 2)])
    unknown = client.channel.unary_unary("/envoy.service.ratelimit.v3.RateLimitService/Nothing")
    try:
        unknown(b"", timeout=PATIENCE_S)
        raise AssertionError("it was answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def described(client, _rules):
    """Health, and reflection that agrees with Envoy's own messages."""
    health = health_pb2_grpc.HealthStub(client.channel)
    service = "envoy.service.ratelimit.v3.RateLimitService"
    for name in ("", service):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer
    database = ProtoReflectionDescriptorDatabase(client.channel)
    services = set(database.get_services())
    assert service in services and "grpc.health.v1.Health" in services, services
    pool = descriptor_pool.DescriptorPool(database)
    ours = pool.FindServiceByName(service).FindMethodByName("ShouldRateLimit")
    theirs = rls_pb2.DESCRIPTOR.services_by_name["RateLimitService"].methods_by_name[
        "ShouldRateLimit"
    ]
    assert ours.input_type.full_name == theirs.input_type.full_name
    assert ours.output_type.full_name == theirs.output_type.full_name
    seen = set()
    agree(ours.input_type, theirs.input_type, seen)
    agree(ours.output_type, theirs.output_type, seen)
    assert len(seen) == 13, seen


# Newer than the messages of this package.
NEWER = {"is_negative_hits", "WEEK"}


def agree(ours, theirs, seen):
    """Checks that what we describe is what Envoy describes: names, numbers, types."""
    if ours.full_name in seen:
        return
    seen.add(ours.full_name)
    for field in ours.fields:
        if field.name in NEWER:
            continue
        other = theirs.fields_by_name[field.name]
        same = [(one.number, one.type, one.is_repeated) for one in (field, other)]
        assert same[0] == same[1], (field.full_name, same)
        if field.message_type:
            assert field.message_type.full_name == other.message_type.full_name
            agree(field.message_type, other.message_type, seen)
        if field.enum_type:
            assert field.enum_type.full_name == other.enum_type.full_name
            seen.add(field.enum_type.full_name)
            values = [
                {value.name: value.number for value in one.values if value.name not in NEWER}
                for one in (field.enum_type, other.enum_type)
            ]
            assert values[0] == values[1], (field.full_name, values)


def reload(client, rules):
    """New rules take hold, wrong ones do not, and what was counted stays."""
    path = os.path.join(rules, "reloaded.yaml")
    ip = descriptor(("k", "v"))

    def write(requests):
        text = f"domain: reloaded\ndescriptors: [{{key: k, rate_limit: {{unit: day, requests_per_unit: {requests}}}}}]\n"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def until(limit):
        end = time.monotonic() + PATIENCE_S
        while True:
            answer = client.ask("reloaded", descriptor(("k", "v"), hits=0))
            if answer.statuses[0].current_limit.requests_per_unit == limit:
                return
            assert time.monotonic() < end, answer

    write(2)
    until(2)
    assert client.codes("reloaded", ip, hits=2) == (OK, [(OK, 0)])
    write("many")
    yield "broken"
    assert client.codes("reloaded", ip) == (OVER, [(OVER, 0)])
    write(3)
    until(3)
    assert client.codes("reloaded", ip) == (OK, [(OK, 0)])
    assert client.codes("reloaded", ip) == (OVER, [(OVER, 0)])


def use_up(client, _rules):
    """All of a limit, before the server is killed."""
    assert client.codes("edge", descriptor(("remote_address", "10.5.0.1")), hits=3) == (OK, [(OK, 0)])


def used_up(client, _rules):
    """Nothing of it is there afterwards; it was of another key's."""
    one, other = descriptor(("remote_address", "10.5.0.1")), descriptor(("remote_address", "10.5.0.2"))
    assert client.codes("edge", one, other) == (OVER, [(OVER, 0), (OK, 2)])


def headers(client, _rules):
    """The headers that Envoy passes on say what the tightest limit says."""
    ip, user = descriptor(("remote_address", "10.4.0.1")), descriptor(("user", "h"))
    answer = client.ask("edge", ip, user)
    said = {header.key: header.value for header in answer.response_headers_to_add}
    assert (said["ratelimit-limit"], said["ratelimit-remaining"]) == ("2", "1"), answer
    assert 0 < int(said["ratelimit-reset"]) <= 25 * 3600, answer


def calendar(client, _rules):
    """On the clock the window ends with the day."""
    answer = client.ask("edge", descriptor(("remote_address", "10.3.0.1")))
    reset = answer.statuses[0].duration_until_reset.ToSeconds()
    left = 86_400 - time.time() % 86_400
    # Record time is not the wall clock's, which may be stepped; midnight may pass meanwhile.
    assert 0 <= reset <= 86_400 and min(abs(reset - left), 86_400 - abs(reset - left)) < 60, reset
    assert answer.statuses[0].limit_remaining == 2, answer


def main():
    address, key, rules, scenario = sys.argv[1:]
    steps = globals()[scenario](Client(address, key), rules)
    # What a scenario yields is for the test to look at; it answers with a line.
    for step in steps or ():
        print(step, flush=True)
        sys.stdin.readline()
    print("done", flush=True)


main()
