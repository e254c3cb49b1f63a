//! A container has what its engine says it has: each layer that the engine puts in force.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::engine::{Engine, IMAGE};
use e2e::stage::Setup;
use e2e::toy::Toy;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

e2e::journeys!(container, Container, Container, Tester: [an_agents_container_has_all_that_contains_it]);

fn an_agents_container_has_all_that_contains_it(_: Setup) {
    let engine = Engine::start();
    let toy = Toy::in_containers(engine.host(), IMAGE, |config| {
        let limits = "limits: {memory: 96M, cpus: 1.5, pids: 60, disk: 32M}, read: [";
        config.replace("read: [", limits)
    });
    let run = toy.waiting_run();
    let found = engine.docker(&["inspect", &engine.running()[0]]);
    toy.go();
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");

    let mut found: Value = serde_json::from_str(&found).unwrap();
    let (mut host, config) = (found[0]["HostConfig"].take(), &found[0]["Config"]);
    // The seccomp profile goes by its words elsewhere; here it counts that it is there.
    let security: Vec<String> = serde_json::from_value(host["SecurityOpt"].take()).unwrap();
    assert_eq!(security.len(), 2);
    assert_eq!(security[0], "no-new-privileges");
    assert!(security[1].starts_with("seccomp={\""), "{security:?}");
    assert!(security[1].contains("\"io_uring_setup\""), "{security:?}");
    // Everything is mounted read-only, and nothing but what was asked for.
    let mounts = host["Mounts"].take();
    let mounts = mounts.as_array().unwrap();
    let targets: Vec<&str> = mounts
        .iter()
        .map(|mount| mount["Target"].as_str().unwrap())
        .collect();
    assert_eq!(targets, [toy.cues().to_str().unwrap()]);
    for mount in mounts {
        assert_eq!(mount["ReadOnly"], true, "{mount}");
        assert_eq!(mount["BindOptions"]["Propagation"], "rprivate", "{mount}");
    }
    let picked = |keys: &[&str]| -> Value {
        keys.iter()
            .map(|key| ((*key).to_owned(), host[*key].clone()))
            .collect()
    };
    assert_eq!(
        picked(&[
            "Binds",
            "CapAdd",
            "CapDrop",
            "CgroupnsMode",
            "Devices",
            "GroupAdd",
            "Init",
            "IpcMode",
            "LogConfig",
            "Memory",
            "MemorySwap",
            "NanoCpus",
            "NetworkMode",
            "PidMode",
            "PidsLimit",
            "PortBindings",
            "Privileged",
            "RestartPolicy",
            "Tmpfs",
            "UTSMode",
            "Ulimits",
            "VolumesFrom",
        ]),
        json!({
            "Binds": null,
            "CapAdd": null,
            "CapDrop": ["ALL"],
            "CgroupnsMode": "private",
            "Devices": null,
            "GroupAdd": null,
            "Init": false,
            "IpcMode": "private",
            "LogConfig": {"Type": "none", "Config": {}},
            "Memory": 96 * MIB,
            "MemorySwap": 96 * MIB,
            "NanoCpus": 1_500_000_000,
            "NetworkMode": "none",
            "PidMode": "",
            "PidsLimit": 60,
            "PortBindings": null,
            "Privileged": false,
            "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
            "Tmpfs": {"/tmp": format!("rw,nosuid,nodev,size={},mode=1777", 32 * MIB)},
            "UTSMode": "",
            "Ulimits": [
                {"Name": "core", "Hard": 0, "Soft": 0},
                {"Name": "nofile", "Hard": 4096, "Soft": 4096},
                {"Name": "nproc", "Hard": 4096, "Soft": 4096},
            ],
            "VolumesFrom": null,
        })
    );
    assert_eq!(config["User"], "64501:64501");
    assert_eq!(config["Entrypoint"], json!(["/usr/lib/autoclave/enter"]));
    assert_eq!(config["OpenStdin"], true);
    assert_eq!(config["StdinOnce"], true);
    assert_eq!(config["Volumes"], Value::Null);
}
