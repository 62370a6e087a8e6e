"""Units that ROS fixes: SI, by the type and field that carry a quantity.

REP 103 and the comments of the message definitions. What they leave open (a joint may turn or slide, a
Float64MultiArray may be anything) has no unit here.
"""

GEOMETRY, SENSOR, NAVIGATION = "geometry_msgs/msg/", "sensor_msgs/msg/", "nav_msgs/msg/"

UNITS = {
    (GEOMETRY + "Pose", "position"): "m",
    (GEOMETRY + "Pose2D", "x"): "m",
    (GEOMETRY + "Pose2D", "y"): "m",
    (GEOMETRY + "Pose2D", "theta"): "rad",
    (GEOMETRY + "PointStamped", "point"): "m",
    (GEOMETRY + "Transform", "translation"): "m",
    (GEOMETRY + "Twist", "linear"): "m/s",
    (GEOMETRY + "Twist", "angular"): "rad/s",
    (GEOMETRY + "Accel", "linear"): "m/s^2",
    (GEOMETRY + "Accel", "angular"): "rad/s^2",
    (GEOMETRY + "Wrench", "force"): "N",
    (GEOMETRY + "Wrench", "torque"): "N m",
    (SENSOR + "Imu", "angular_velocity"): "rad/s",
    (SENSOR + "Imu", "linear_acceleration"): "m/s^2",
    (SENSOR + "MagneticField", "magnetic_field"): "T",
    (SENSOR + "Range", "range"): "m",
    (SENSOR + "LaserScan", "ranges"): "m",
    (SENSOR + "Temperature", "temperature"): "degC",
    (SENSOR + "FluidPressure", "fluid_pressure"): "Pa",
    (SENSOR + "Illuminance", "illuminance"): "lx",
    (SENSOR + "BatteryState", "voltage"): "V",
    (SENSOR + "BatteryState", "temperature"): "degC",
    (SENSOR + "BatteryState", "current"): "A",
    (SENSOR + "BatteryState", "charge"): "A h",
    (SENSOR + "BatteryState", "capacity"): "A h",
    (SENSOR + "BatteryState", "design_capacity"): "A h",
    (SENSOR + "BatteryState", "cell_voltage"): "V",
    (SENSOR + "BatteryState", "cell_temperature"): "degC",
    (SENSOR + "NavSatFix", "latitude"): "deg",
    (SENSOR + "NavSatFix", "longitude"): "deg",
    (SENSOR + "NavSatFix", "altitude"): "m",
}

DEFAULT_FIELDS = {
    SENSOR + "JointState": "position",
    SENSOR + "Joy": "axes",
    "trajectory_msgs/msg/JointTrajectory": "points[0].positions",
    "trajectory_msgs/msg/JointTrajectoryPoint": "positions",
    GEOMETRY + "PoseWithCovarianceStamped": "pose.pose",
    GEOMETRY + "TwistWithCovarianceStamped": "twist.twist",
    GEOMETRY + "TransformStamped": "transform",
    NAVIGATION + "Odometry": "pose.pose",
}
"""What of a message is meant where the topics file names no field."""
