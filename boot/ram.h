/*
 * The machine's free RAM: the one struct memory behind host_alloc. Boot CPU only.
 */
#pragma once

#include "boot/boot_info.h"

/* Everything but the image [image, image_end), the loader's modules, and what the log is kept in. */
void ram_init(const struct boot_info *b, uint64_t image, uint64_t image_end);
/* Memory below limit as it is, not zeroed; for those who cannot use the direct map yet. */
bool ram_take(uint64_t size, uint64_t align, uint64_t limit, uint64_t *at);
uint64_t ram_free(void);
/* Copies modules that begin below 1 MiB to RAM above and tells b; the direct map must be there. */
void ram_move_low_modules(struct boot_info *b);
