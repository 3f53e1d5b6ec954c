/*
 * The log that outlives a reset: where it is, and what the last boot has left there.
 *
 * Firmware and loader use memory without telling, so the log is kept at several places at once
 * (warm_places says where and why there). No guest ever gets that memory.
 */
#pragma once

#include "boot/boot_info.h"
#include "boot/stage.h"
#include "hv/console/warm.h"

enum { WARM_PLACES = 3, WARM_LOW = 0x90000 };

/* The places of WARM_BYTES in this machine's RAM, below 4 GiB, the same at the next boot; pure. */
unsigned warm_places(const struct boot_info *b, uint64_t at[WARM_PLACES]);
/* The loader has put nothing there; pure. */
bool warm_place_free(const struct boot_info *b, uint64_t at, uint64_t image, uint64_t image_end);

/*
 * Boot CPU, while the low 4 GiB are mapped one to one: takes what the last boot left, and begins this
 * boot's log.
 */
void warm_start(const struct boot_info *b, uint64_t image, uint64_t image_end);
/* Shows what the last boot left as lines "last time: ...". */
void warm_show(void);
/* Own page tables are in use. */
void warm_moved(void);
/* How far this boot is; nothing before warm_start. */
void warm_stage(enum boot_stage s);
/* The machine comes to its end in order. */
void warm_ended(void);
