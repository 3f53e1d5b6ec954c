/*
 * What this CPU says of speculative-execution attacks: its controls, and what it is immune to.
 *
 * Mullion gives every guest CPUs of its own and passes the controls on, so each guest's kernel
 * defends itself as on its own machine; these lines tell what it has to work with.
 */
#pragma once

/* Two log lines. Boot CPU. */
void speculation_log(void);
