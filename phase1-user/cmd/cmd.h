/*
 * The sub-commands of plex86; each is one file, cmd-NAME.c.
 */
#ifndef PLEX86_CMD_H
#define PLEX86_CMD_H

struct run_options;
struct snapshot;

/* Run what the options and, if there is one, a snapshot say: its machine with their devices. Both
 * become its own. */
int run_options_run(struct run_options *o, struct snapshot *snapshot, char **all_argv);

/* argv[0] is the sub-command's name; all_argv is that of main(). Return the exit status. */
int cmd_run(int argc, char **argv, char **all_argv);
int cmd_resume(int argc, char **argv, char **all_argv);
int cmd_snapshot(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_continue(int argc, char **argv);
int cmd_control(int argc, char **argv);
int cmd_trace(int argc, char **argv, char **all_argv);
int cmd_profile(int argc, char **argv, char **all_argv);
int cmd_diff(int argc, char **argv);
int cmd_replay(int argc, char **argv, char **all_argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(void);

/* Help texts. */
extern const char run_help[];
extern const char resume_help[];
extern const char snapshot_help[];
extern const char ps_help[];
extern const char stop_help[];
extern const char stat_help[];
extern const char pause_help[];
extern const char continue_help[];
extern const char control_help[];
extern const char trace_help[];
extern const char profile_help[];
extern const char diff_help[];
extern const char doctor_help[];
extern const char replay_help[];

#endif
