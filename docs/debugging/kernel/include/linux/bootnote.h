/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _LINUX_BOOTNOTE_H
#define _LINUX_BOOTNOTE_H

void bootnote_take(void);

#endif
