/*
 * The keyboard controller of a PC, with a keyboard or firmware that plays one. Guests have their
 * own, emulated one and never see this.
 */
#pragma once

#include "hv/types.h"

enum { I8042_IRQ = 1 };

/*
 * Turns the keyboard and its interrupt on, and the mouse off; scan codes are of set 1. Bounded
 * waits. False: there is no controller. Boot CPU.
 */
bool i8042_init(void);
/* A scan code that waits, -1: none. The CPU that takes the interrupt. */
int i8042_read(void);
