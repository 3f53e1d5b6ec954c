/*
 * The local APIC of this CPU, x2APIC if firmware left it so or a CPU cannot be reached else (Intel SDM vol. 3, "Advanced
 * Programmable Interrupt Controller"). Each CPU touches its own.
 */
#pragma once

#include "hv/types.h"

/*
 * Boot CPU: finds out the mode, maps the registers, sets this CPU's LAPIC up. want_x2apic: goes to
 * x2APIC mode if the CPU has it and is not there yet. There is no way back.
 */
void lapic_init(bool want_x2apic);
/* Other CPUs: the same mode, set up. */
void lapic_init_ap(void);
bool lapic_x2apic(void);
uint32_t lapic_id(void);
void lapic_eoi(void);

/* IPIs by physical destination: a vector, or one of these, a SIPI with the number of its page. */
enum { LAPIC_NMI = 4 << 8, LAPIC_INIT = 5 << 8, LAPIC_SIPI = 6 << 8 };
void lapic_send(uint32_t apic_id, uint32_t command);
/* The half of the xAPIC's command register that an NMI handler must put back if it sends an IPI. */
uint32_t lapic_destination(void);
void lapic_set_destination(uint32_t v);

/* The timer, divide by 1, on VECTOR_TIMER. */
bool lapic_has_deadline(void);
void lapic_timer_deadline(bool on);	/* mode of this CPU's timer: TSC-deadline, else one-shot */
void lapic_timer_start(uint32_t count); /* one-shot; 0 stops it */
uint32_t lapic_timer_count(void);

/* Reads and clears the error status. */
uint32_t lapic_errors(void);
