/*
 * The last 64 KiB of the log, for whoever shows it again.
 */
#pragma once

#include "hv/types.h"

enum { LOG_RING = 65536 };

struct log_ring {
	uint64_t end;	  /* bytes ever written; byte n stands at n % LOG_RING */
	uint64_t printed; /* bytes that reached a console, or log_take, or were lost */
	char text[LOG_RING];
};

const struct log_ring *log_ring(void);
