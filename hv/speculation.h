/*
 * What this CPU says of speculative-execution attacks: its controls, and what it is immune to.
 *
 * Mullion gives every guest CPUs of its own and passes the controls on, so each guest's kernel
 * defends itself as on its own machine; these lines tell what it has to work with.
 */
#pragma once

struct speculation {
	/* Lists of names, empty: none. */
	char controls[120], immune[160], rest[160]; /* rest: affected, or the CPU does not say */
};

/* Of this CPU. */
void speculation_read(struct speculation *s);
