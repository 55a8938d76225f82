"""What the NetworkPolicies allow, worked out as a network plugin would: no policy that selects a pod, no limit."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from tests.deploy.manifests import Labels, Objects, everybody, of_kind, selects

NAMESPACE_LABELS = {"kubernetes.io/metadata.name": "headrace"}
Direction = Literal["Ingress", "Egress"]


def may_enter(objects: Objects, namespace: str, target: Labels, port: int) -> bool:
    """From any pod of another namespace."""
    return _pod_allowed(objects, "Ingress", target, {}, {"kubernetes.io/metadata.name": namespace}, port)


def may_leave(objects: Objects, source: Labels, address: str, port: int) -> bool:
    """To an address outside the cluster."""
    return any(
        _port(rule, port) and ("to" not in rule or any(_block(peer, address) for peer in rule["to"]))
        for rule in _rules(objects, "Egress", source)
    )


def conversations(objects: Objects, direction: Direction, ports: Sequence[int]) -> set[tuple[str, str, int]]:
    """(caller, called, port) in the namespace, as the callers' policies (Egress) or those of whom they call
    (Ingress) allow them. A connection needs both."""
    who = everybody(objects)
    return {
        (caller, called, port)
        for caller in who
        for called in who
        for port in ports
        if _pod_allowed(objects, direction, *_sides(direction, who[caller], who[called]), NAMESPACE_LABELS, port)
    }


def _sides(direction: Direction, caller: Labels, called: Labels) -> tuple[Labels, Labels]:
    """Whose policy it is, and who is on the other side."""
    return (caller, called) if direction == "Egress" else (called, caller)


def default_deny(objects: Objects) -> Iterator[str]:
    """One policy for all pods that allows nothing, either way."""
    for one in of_kind(objects, "NetworkPolicy"):
        spec = one["spec"]
        if spec["podSelector"] == {} and set(spec["policyTypes"]) == {"Ingress", "Egress"}:
            if spec.get("ingress") or spec.get("egress"):
                yield "the policy for all pods allows something"
            return
    yield "nothing denies by default"


def _rules(objects: Objects, direction: Direction, labels: Labels) -> list[Mapping[str, Any]]:
    """The rules that hold for a pod. Raises AssertionError when no policy limits it."""
    policies = [
        one["spec"]
        for one in of_kind(objects, "NetworkPolicy")
        if direction in one["spec"]["policyTypes"] and selects(one["spec"]["podSelector"], labels)
    ]
    if not policies:
        return [{}]
    return [rule for spec in policies for rule in spec.get(direction.lower(), ())]


def _pod_allowed(
    objects: Objects, direction: Direction, pod: Labels, other: Labels, namespace: Labels, port: int
) -> bool:
    side = "to" if direction == "Egress" else "from"
    return any(
        _port(rule, port) and (side not in rule or any(_peer(peer, other, namespace) for peer in rule[side]))
        for rule in _rules(objects, direction, pod)
    )


def _port(rule: Mapping[str, Any], port: int) -> bool:
    return "ports" not in rule or any(
        one["port"] == port and one.get("protocol", "TCP") == "TCP" for one in rule["ports"]
    )


def _peer(peer: Mapping[str, Any], labels: Labels, namespace: Labels) -> bool:
    if "ipBlock" in peer:
        return False  # pods have private addresses, which no block of ours holds: test_the_internet_is_public
    if "namespaceSelector" in peer:
        here = selects(peer["namespaceSelector"], namespace)
    else:
        here = namespace == NAMESPACE_LABELS
    return here and selects(peer.get("podSelector", {}), labels)


def _block(peer: Mapping[str, Any], address: str) -> bool:
    if "ipBlock" not in peer:
        return False
    found, block = ip_address(address), peer["ipBlock"]
    return found in ip_network(block["cidr"]) and not any(
        found in ip_network(one) for one in block.get("except", ())
    )
