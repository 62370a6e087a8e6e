"""The simulated arm of scripts/benchmarks/deploy: prints its port, and runs until told to end."""

import json
import signal
import sys
import threading

from deploy_attempts import DOMAIN

from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.dds_host import DdsHost
from imitate.deploy.simulation.simulated_arm import SimulatedArm
from imitate.parts import from_json

done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
transport, env = sys.argv[1], from_json(json.loads(sys.argv[2]), "env")
server = DdsHost(DdsNetwork(DOMAIN)) if transport == "dds" else BridgeServer()
arm = SimulatedArm(env, server)
arm.start()
server.start()
print(getattr(server, "port", 0), flush=True)
done.wait()
arm.close()
server.close()
