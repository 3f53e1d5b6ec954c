/*
 * One guest, many ways to end: the command line's `how=` says which. Each prints that it starts, so
 * that a test can count restarts, and fails if it survives.
 */
#include "guest.h"

GUEST("end");

static void no_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0" : : "m"(none));
}

void guest_main(void)
{
	print("end: %s\n", guest_cmdline());
	if (guest_has_word("late")) {
		delay_us(400000); /* let neighbours get going */
	}
	if (guest_has_word("how=triple")) {
		no_idt();
		__asm__ volatile("ud2");
	} else if (guest_has_word("how=gp")) {
		no_idt();
		wrmsr(0x12345678, 1);
	} else if (guest_has_word("how=fetch")) {
		__asm__ volatile("jmp *%0" : : "r"(0xd0000000ul));
	} else if (guest_has_word("how=unknown")) {
		__asm__ volatile("fxsave (%0)" : : "r"(0xd0000000ul) : "memory");
	} else if (guest_has_word("how=cf9")) {
		out8(0xcf9, 2);
		out8(0xcf9, 6);
	} else if (guest_has_word("how=port92")) {
		out8(0x92, in8(0x92) | 1);
	} else if (guest_has_word("how=keyboard")) {
		out8(0x64, 0xfe);
	} else if (guest_has_word("how=s5")) {
		guest_power_off();
	} else if (guest_has_word("how=exit3")) {
		out8(DEBUG_EXIT, 3);
	} else if (guest_has_word("how=fail")) {
		guest_fail("as asked");
	} else if (guest_has_word("how=pass")) {
		guest_pass();
	} else if (guest_has_word("how=deaf")) {
		__asm__ volatile("cli; 1: jmp 1b");
	} else if (guest_has_word("how=flood")) {
		for (;;) { /* as much output and as many exits as it can */
			print("flood flood flood flood flood flood flood flood\n");
		}
	}
	delay_us(100000);
	guest_fail("still runs after %s", guest_cmdline());
}
