"""What the component relies on and no test of ours has run."""

from manifests.component import UnverifiedFact

UNVERIFIED = (
    UnverifiedFact(
        fact="Valkey 9.1.1 and its Sentinel understand the rendered configuration and scripts. Run "
        "here: Redis 7.0.",
        source="https://github.com/valkey-io/valkey/blob/unstable/src/config.c",
        if_wrong="The servers do not start; the wave 'Redis: workloads' fails and shows their log.",
    ),
    UnverifiedFact(
        fact="HAProxy 3.2.22 understands the rendered haproxy.cfg. Run here: HAProxy 2.6.",
        source="https://docs.haproxy.org/3.2/configuration.html",
        if_wrong="The proxies do not start; the wave 'Redis: workloads' fails and shows their log.",
    ),
    UnverifiedFact(
        fact="The images hold valkey-server, valkey-cli, haproxy, sh, timeout and sleep, "
        "and run under user ids 999 and 99 with a read-only root.",
        source="https://github.com/valkey-io/valkey-container, "
        "https://github.com/docker-library/haproxy",
        if_wrong="Pods fail at their start with 'not found' or 'permission denied'.",
    ),
    UnverifiedFact(
        fact="A pod finds the addresses of its namespace's Services in its environment, and "
        "reaches itself through its own Service.",
        source="https://kubernetes.io/docs/tutorials/services/connect-applications-service/"
        "#accessing-the-service",
        if_wrong="Servers fail at their start for want of an address, or each Sentinel takes its "
        "own server for lost.",
    ),
    UnverifiedFact(
        fact="redis_exporter v1.88.0 reads REDIS_PASSWORD_FILE as a JSON map of address to "
        "password, and answers /scrape for the Sentinel beside it.",
        source="https://github.com/oliver006/redis_exporter#readme",
        if_wrong="Alerts RedisDown and RedisSentinelQuorum fire; the service goes on.",
    ),
)
