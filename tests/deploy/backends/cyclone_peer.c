/* A robot on DDS in C: publishes 200 states on rt/joint_states at 100 Hz once somebody commands it, joints "b" and
   "a" with "a" counting up, and says on stdout how many commands came on rt/commands, and whether the last one was
   {count, 1, 2}. Argument: the domain. Cyclone DDS 0.10, the series of ROS 2 Humble to Jazzy. */
#include <stdio.h>
#include <stdlib.h>
#include "dds/dds.h"
#include "ros_messages.h"

#define STATES 200

int main (int argc, char **argv)
{
  const dds_domainid_t domain = (dds_domainid_t) atoi (argc > 1 ? argv[1] : "0");
  const dds_entity_t participant = dds_create_participant (domain, NULL, NULL);
  const dds_entity_t state_topic = dds_create_topic (participant, &sensor_msgs_msg_dds__JointState__desc, "rt/joint_states", NULL, NULL);
  const dds_entity_t command_topic = dds_create_topic (participant, &std_msgs_msg_dds__Float64MultiArray__desc, "rt/commands", NULL, NULL);

  dds_qos_t *sensor = dds_create_qos ();
  dds_qset_reliability (sensor, DDS_RELIABILITY_BEST_EFFORT, 0);
  dds_qset_history (sensor, DDS_HISTORY_KEEP_LAST, 5);
  dds_qos_t *standard = dds_create_qos ();
  dds_qset_reliability (standard, DDS_RELIABILITY_RELIABLE, DDS_SECS (1));
  dds_qset_history (standard, DDS_HISTORY_KEEP_LAST, 10);

  const dds_entity_t writer = dds_create_writer (participant, state_topic, sensor, NULL);
  const dds_entity_t reader = dds_create_reader (participant, command_topic, standard, NULL);
  if (participant < 0 || writer < 0 || reader < 0)
    return 1;

  dds_subscription_matched_status_t matched = { 0 };
  for (int waited = 0; matched.current_count == 0; waited++)
  {
    dds_get_subscription_matched_status (reader, &matched);
    if (waited > 2000)
      return 2;
    dds_sleepfor (DDS_MSECS (10));
  }
  dds_sleepfor (DDS_MSECS (500));

  int commands = 0, fits = 0;
  for (int count = 0; count < STATES + 30; count++)
  {
    if (count < STATES)
    {
      char *names[] = { "b", "a" };
      double position[] = { 0.5, count };
      sensor_msgs_msg_dds__JointState_ state = { 0 };
      state.header.stamp.sec = count;
      state.header.stamp.nanosec = 7;
      state.header.frame_id = "base";
      state.name._buffer = names;
      state.name._length = state.name._maximum = 2;
      state.position._buffer = position;
      state.position._length = state.position._maximum = 2;
      if (dds_write (writer, &state) < 0)
        return 3;
    }
    dds_sleepfor (DDS_MSECS (10));
    void *samples[16] = { NULL };
    dds_sample_info_t infos[16];
    const dds_return_t taken = dds_take (reader, samples, infos, 16, 16);
    for (int i = 0; i < taken; i++)
    {
      const std_msgs_msg_dds__Float64MultiArray_ *command = samples[i];
      if (!infos[i].valid_data)
        continue;
      commands++;
      fits = command->data._length == 3 && command->data._buffer[0] <= count
        && command->data._buffer[1] == 1.0 && command->data._buffer[2] == 2.0;
    }
    if (taken > 0)
      dds_return_loan (reader, samples, taken);
  }
  printf ("%d %d\n", commands, fits);
  dds_delete_qos (sensor);
  dds_delete_qos (standard);
  dds_delete (participant);
  return 0;
}
