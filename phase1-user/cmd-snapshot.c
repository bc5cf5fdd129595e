#include "cmd.h"
const char snapshot_help[] = "";
int cmd_snapshot(int argc, char **argv) { (void)argc, (void)argv; return 2; }
