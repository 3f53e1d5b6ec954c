/*
 * The machine's I/O APICs, one of which is only in firmware's table.
 */
#include "drivers/ioapic.c"

#include "hv/lib/bytes.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

enum { ABSENT = 0x10000, THERE = 0x20000, WINDOW = 0x10 };

/* The window shows one register only: its value says which that I/O APIC would have. */
static void machine(struct acpi_info *a, uint32_t version)
{
	fake_host_reset();
	fake_log_reset();
	*a = (struct acpi_info){.ioapics = 2};
	a->ioapic[0].base = hpa(0xfec00000 + ABSENT);
	a->ioapic[1].base = hpa(0xfec00000 + THERE);
	a->ioapic[1].gsi_base = 24;
	put_le32(fake_host.mmio + ABSENT + WINDOW, version);
	put_le32(fake_host.mmio + THERE + WINDOW, 0x00170020);
}

TEST(one_that_does_not_answer_is_left_out)
{
	static const uint32_t nothing[] = {0xffffffff, 0, 0x00ff0020};
	struct acpi_info a;

	for (unsigned i = 0; i < ARRAY_SIZE(nothing); i++) {
		unsigned pin;

		machine(&a, nothing[i]);
		ioapic_init(&a);
		CHECK(strstr(fake_log, "IOAPIC: none answers at 0xfec10000; it is left out"));
		CHECK(strstr(fake_log, "IOAPIC: interrupts 24-47 at 0xfec20000, all masked"));
		CHECK(!find(3, &pin));
		CHECK(find(24, &pin) && pin == 0);
		CHECK(find(47, &pin) && pin == 23);
		CHECK(!find(48, &pin));
	}
}

TEST(both_answer)
{
	struct acpi_info a;
	unsigned pin;

	machine(&a, 0x00170011);
	ioapic_init(&a);
	CHECK(find(3, &pin) && find(24, &pin));
	CHECK(!ioapic_route(48, 0, 0x30, false, false));
}
