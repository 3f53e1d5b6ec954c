/*
 * Power-off and reset: see power.h. Called by boot/partitions.c, any CPU.
 */
#include "drivers/power.h"
#include "arch/x86_64/asm.h"
#include "drivers/tsc.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/log.h"

enum { PM1_SLEEP_TYPE = FIELD(12, 10), PM1_SLEEP_ENABLE = BIT(13) };
enum { PORT_RESET = 0xcf9, RESET_CPU = 0x02, RESET_FULL = 0x06 };
enum { KBD_COMMAND = 0x64, KBD_BUSY = BIT(1), KBD_RESET = 0xfe };
enum { BOCHS_SHUTDOWN = 0x8900 };
enum { EFFECT_US = 100000 };

static const struct acpi_info *acpi;
static volatile uint8_t *reset_register; /* in memory space */

void power_init(const struct acpi_info *a)
{
	acpi = a;
	if (a->reset_present && a->reset_space == 0 && a->reset_address < cpu_address_limit()) {
		reset_register = host_map_mmio(hpa(a->reset_address), 1);
	}
}

static void sleep_enable(uint16_t port, uint8_t type)
{
	uint32_t v;

	if (port) {
		v = in16(port) & ~(uint32_t)(PM1_SLEEP_TYPE | PM1_SLEEP_ENABLE);
		v |= (uint32_t)field_put(PM1_SLEEP_TYPE, type) | PM1_SLEEP_ENABLE;
		out16(port, (uint16_t)v);
	}
}

void power_off(void)
{
	if (!acpi || !acpi->s5_present || !acpi->pm1a_cnt) {
		log_line("power: the firmware's tables do not say how to turn the machine off");
		return;
	}
	sleep_enable(acpi->pm1a_cnt, acpi->s5_type_a);
	sleep_enable(acpi->pm1b_cnt, acpi->s5_type_b);
	tsc_delay(EFFECT_US);
	log_line("power: the machine did not turn off");
}

static void reset_by_firmware(void)
{
	if (!acpi || !acpi->reset_present) {
		return;
	}
	if (reset_register) {
		*reset_register = acpi->reset_value;
	} else if (acpi->reset_space == 1) {
		out8((uint16_t)acpi->reset_address, acpi->reset_value);
	}
	tsc_delay(EFFECT_US);
}

static void reset_by_keyboard_controller(void)
{
	for (unsigned i = 0; i < 10000 && (in8(KBD_COMMAND) & KBD_BUSY); i++) {
		pause();
	}
	out8(KBD_COMMAND, KBD_RESET);
	tsc_delay(EFFECT_US);
}

static NORETURN void triple_fault(void)
{
	static const struct table_register none;

	for (;;) {
		__asm__ volatile("lidt %0; ud2" : : "m"(none));
	}
}

void power_reset(void)
{
	reset_by_firmware();
	out8(PORT_RESET, RESET_CPU);
	out8(PORT_RESET, RESET_FULL);
	tsc_delay(EFFECT_US);
	reset_by_keyboard_controller();
	triple_fault();
}

void power_qemu_exit(uint16_t port, uint8_t status)
{
	out32(port, status);
}

void power_bochs_exit(void)
{
	for (const char *s = "Shutdown"; *s; s++) {
		out8(BOCHS_SHUTDOWN, (uint8_t)*s);
	}
}
