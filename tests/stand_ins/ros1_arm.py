"""A robot of ROS 1 for the system's Python, with rospy's own message classes.

    python3 ros1_arm.py RATE_HZ STATES

Publishes /joint_states with the joints b and a, a counting up from 0, and a picture each tenth time, once
somebody commands it. At the end, after STATES of them or when stdin ends, it prints one JSON line: what came
on /commands, and how many ms after the state whose count it repeats. Needs ROS_MASTER_URI; /strange has
another type than one expects.
"""

import json
import sys
import threading
import time

import rospy
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, SetBoolResponse

rate_hz, states = float(sys.argv[1]), int(sys.argv[2])
rospy.init_node("arm", disable_rosout=True, disable_signals=True)
sent_s = {}
got = []
delays_ms = []


def take(command):
    now = time.perf_counter()
    got.append(list(command.data))
    count = int(command.data[0])
    if count in sent_s:
        delays_ms.append((now - sent_s[count]) * 1e3)


state = rospy.Publisher("/joint_states", JointState, queue_size=1, tcp_nodelay=True)
picture = rospy.Publisher("/picture", CompressedImage, queue_size=1)
strange = rospy.Publisher("/strange", PoseStamped, queue_size=1, latch=True)
strange.publish(PoseStamped())
commands = rospy.Subscriber("/commands", Float64MultiArray, take, queue_size=1, tcp_nodelay=True)
rospy.Service("/enable", SetBool, lambda request: SetBoolResponse(request.data, "done"))
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while commands.get_num_connections() == 0 and not over.is_set():
    time.sleep(0.02)
time.sleep(0.5)
begin, count = time.perf_counter(), 0
while count < states and not over.is_set():
    message = JointState(name=["b", "a"], position=[0.5, float(count)])
    message.header.stamp = rospy.Time(count, 7)
    message.header.frame_id = "base"
    sent_s[count] = time.perf_counter()
    state.publish(message)
    if count % 10 == 0:
        picture.publish(CompressedImage(format="jpeg", data=bytes(range(256)) * 100))
    count += 1
    time.sleep(max(0.0, begin + count / rate_hz - time.perf_counter()))
time.sleep(0.3)
sys.stdout.write(json.dumps({"states": count, "commands": got, "delays_ms": delays_ms}) + "\n")
sys.stdout.flush()
rospy.signal_shutdown("over")
