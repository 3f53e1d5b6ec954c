/*
 * The screen that the loader left: a framebuffer or VGA text mode, as a console. Boot CPU.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/framebuffer.h"
#include "hv/config.h"

/*
 * Can Mullion write on this? False: `r` tells why not. m is filled in for a framebuffer of direct
 * colours. Pure: boot/screen_check.c.
 */
bool screen_check(const struct boot_info *b, struct framebuffer_mode *m, struct refusal *r);

/*
 * Before paging_init: from now on the log is shown. A framebuffer above 4 GiB waits for
 * screen_remap, which must follow on paging_init at once.
 */
void screen_begin(const struct boot_info *b);
void screen_remap(void);
/* Is there one, and is it in use? */
bool screen_present(void);
/* Lets go of the screen, for good, with some last words on it. */
void screen_end(const char *words);
/*
 * The screen is no console if a guest has its memory or the display that makes it. Who that is:
 * screen_owner, which is pure, NULL: nobody. PCI must be enumerated.
 */
void screen_yield(const struct config *c);
const char *screen_owner(const struct boot_framebuffer *f, const struct config *c);
