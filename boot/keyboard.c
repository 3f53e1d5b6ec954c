/*
 * Keyboard interrupts to typed bytes: see keyboard.h. The handler and keyboard_get run on the
 * console CPU; the ring between them belongs to this file.
 */
#include "boot/keyboard.h"
#include "arch/x86_64/percpu.h"
#include "drivers/i8042.h"
#include "drivers/ioapic.h"
#include "hv/console/console.h"
#include "hv/console/keymap.h"
#include "hv/log.h"
#include <stdatomic.h>

enum { CODES = 64 }; /* power of two */

static const struct acpi_info *acpi;
static bool present;
static uint8_t code[CODES];
static _Atomic uint32_t head, tail; /* free-running */
static struct keymap keymap;
static uint8_t bytes[KEYMAP_MOST]; /* of the last key */
static unsigned bytes_at, bytes_end;

/* Takes the code at once, which ends the interrupt whatever way it is triggered. */
static void interrupt(uint8_t vector)
{
	uint32_t at = atomic_load_explicit(&head, memory_order_relaxed);
	int scan = i8042_read();

	(void)vector;
	if (scan >= 0 && at - atomic_load_explicit(&tail, memory_order_acquire) < CODES) {
		code[at % CODES] = (uint8_t)scan;
		atomic_store_explicit(&head, at + 1, memory_order_release);
	}
	console_wake();
}

void keyboard_begin(const struct acpi_info *a)
{
	acpi = a;
	present = i8042_init();
	log_line("keyboard: %s", present ? "8042" : "no 8042 answers");
	if (present) {
		irq_handle(VECTOR_KEYBOARD, interrupt);
	}
}

void keyboard_watch(uint32_t apic_id)
{
	bool level, low;
	uint32_t gsi;

	if (!present) {
		return;
	}
	gsi = ioapic_isa(acpi, I8042_IRQ, &level, &low);
	if (!ioapic_route(gsi, apic_id, VECTOR_KEYBOARD, level, low)) {
		log_line("keyboard: no I/O APIC has its interrupt");
		present = false;
	}
	/* A key that was hit meanwhile has raised its edge already. */
	interrupt(VECTOR_KEYBOARD);
}

int keyboard_get(void)
{
	while (bytes_at == bytes_end) {
		uint32_t at = atomic_load_explicit(&tail, memory_order_relaxed);

		if (at == atomic_load_explicit(&head, memory_order_acquire)) {
			return -1;
		}
		bytes_at = 0;
		bytes_end = keymap_scan(&keymap, code[at % CODES], bytes);
		atomic_store_explicit(&tail, at + 1, memory_order_release);
	}
	return bytes[bytes_at++];
}
