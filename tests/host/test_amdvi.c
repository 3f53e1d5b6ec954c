/*
 * The AMD-Vi driver on a model of a unit: what the unit reads from memory after each call, and what
 * it was told to forget.
 */
#include "hv/pci.h"
#include "tests/host/amdvi_model.h"

TEST(on)
{
	start();
	CHECK_EQ(reg(AMDVI_DEVICE_TABLE) & PAGE_MASK, 511); /* 2 MiB: all functions */
	CHECK_EQ(reg(AMDVI_COMMANDS) >> 56, 8);
	CHECK_EQ(reg(AMDVI_EVENTS) >> 56, 8);
	CHECK_EQ(reg(AMDVI_CONTROL),
		 AMDVI_ON | AMDVI_EVENT_LOG | AMDVI_COHERENT | AMDVI_COMMAND_BUFFER);
	CHECK_EQ(told.all, 1);
	for (unsigned bdf = 0; bdf < 65536; bdf++) {
		CHECK_EQ(walk((uint16_t)bdf, 0x1000), 0);
		/* Interrupts: none, but an I/O APIC's table, and the unit's own. */
		if (bdf != IOAPIC_BDF && bdf != UNIT_BDF) {
			CHECK_EQ(device((uint16_t)bdf)->interrupts, 1);
		}
	}
	CHECK_EQ(device(IOAPIC_BDF)->interrupts >> 60, 2);
	CHECK_EQ(device(IOAPIC_BDF)->interrupts >> 1 & 15, 11);
	CHECK_EQ(device(UNIT_BDF)->interrupts >> 60, 1);
}

TEST(taken_over)
{
	machine(AMDVI_EXT_ALL);
	set(AMDVI_CONTROL, AMDVI_ON | AMDVI_EVENT_LOG | AMDVI_COMMAND_BUFFER |
				   AMDVI_EVENT_INTERRUPT | BIT(8) | BIT(16));
	set(AMDVI_STATUS, AMDVI_LOG_RUNS | AMDVI_COMMANDS_RUN);
	set(AMDVI_EXCLUSION, 0x100001);
	set(AMDVI_COMMAND_HEAD, 0x40);
	set(AMDVI_COMMAND_TAIL, 0x80);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu->enable(&why));
	CHECK_STR(why.text, "");
	CHECK_EQ(reg(AMDVI_EXCLUSION), 0);
	/* Of firmware's bits those for the machine's links stay. */
	CHECK_EQ(reg(AMDVI_CONTROL),
		 AMDVI_ON | AMDVI_EVENT_LOG | AMDVI_COHERENT | AMDVI_COMMAND_BUFFER | BIT(8));
	CHECK_EQ(told.all, 1);
}

TEST(without_the_command_for_all)
{
	machine(0);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu->enable(&why));
	CHECK_EQ(told.devices, 65536);
	CHECK_EQ(told.interrupts, 65536);
	CHECK_EQ(told.domains, BIT(MAX_GUESTS + 1) - 1);
}

TEST(units_that_cannot_be_used)
{
	machine(UINT64_MAX);
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "does not answer"));
	machine(AMDVI_EXT_ALL);
	told.stuck = true;
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(!iommu->enable(&why));
	CHECK_STR(why.text, "the AMD-Vi unit at 0xfed80000 does not take commands; `iommu=off` on "
			    "Mullion's command line starts without it");
	machine(AMDVI_EXT_ALL);
	rig_table[9]++;
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "checksum"));
	machine(AMDVI_EXT_ALL);
	rig_table[56 + 5] = 0x10; /* registers at 1 << 44 */
	rig_seal();
	CHECK(!iommu_probe(&rig_machine, &why));
	CHECK(strstr(why.text, "is beyond this CPU's addresses"));
	CHECK(!iommu);
}

TEST(domain_is_the_guests_ram_and_nothing_else)
{
	struct iommu_domain *d;

	start();
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x18, d, &why));
	CHECK_EQ(walk(0x18, 0), RIG_RAM + 1);
	CHECK_EQ(walk(0x18, 0x9f000), RIG_RAM + 0x9f001);
	CHECK_EQ(walk(0x18, 0xa0000), 0);
	CHECK_EQ(walk(0x18, MIB(16) - 0x1000), RIG_RAM + MIB(16) - 0xfff);
	CHECK_EQ(walk(0x18, MIB(16)), 0);
	CHECK_EQ(walk(0x18, 0xfd000000), 0);
	CHECK_EQ(walk(0x200, 0), 0);
	CHECK_EQ(device(0x18)->domain, 1);
	CHECK_EQ(told.last_device, 0x18);
	CHECK_EQ(told.domains, BIT(1));
}

TEST(read_only_ram)
{
	struct iommu_domain *d;

	start();
	rig_other.range[0].writable = false;
	d = domain_of(&rig_other);
	CHECK(iommu->attach(0x18, d, &why));
	CHECK_EQ(walk(0x18, 0x1000), RIG_OTHER + 0x1000);
}

TEST(from_one_domain_to_another_and_to_none)
{
	struct iommu_domain *d, *other;

	start();
	d = domain_of(&rig_guest);
	other = domain_of(&rig_other);
	CHECK(iommu->attach(0x18, d, &why) && iommu->attach(0x18, other, &why));
	CHECK_EQ(told.domains, BIT(1) | BIT(2));
	CHECK_EQ(walk(0x18, 0x1000), RIG_OTHER + 0x1001);
	told.domains = 0;
	CHECK(iommu->attach(0x18, NULL, &why));
	CHECK_EQ(told.domains, BIT(2));
	CHECK_EQ(walk(0x18, 0x1000), 0);
	CHECK_EQ(device(0x18)->interrupts, 1);
	CHECK(iommu->attach(0x20, NULL, &why)); /* was never attached */
}

TEST(which_devices)
{
	struct iommu_domain *d;

	start();
	d = domain_of(&rig_other);
	CHECK(!iommu->attach(0x20, d, &why));
	CHECK_STR(why.text, "no AMD-Vi unit covers device 00:04.0");
	CHECK(iommu->attach(0x2ff, d, &why));
	CHECK(iommu->attach(0x308, d, &why)); /* its requests carry 03:00.0 */
	CHECK_EQ(walk(0x300, 0), RIG_OTHER + 1);
	CHECK_EQ(walk(0x308, 0), RIG_OTHER + 1);
	CHECK(iommu->attach(0x308, NULL, &why));
	CHECK_EQ(walk(0x300, 0), 0);
}

TEST(unity_ranges)
{
	struct iommu_domain *d;

	start();
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x18, d, &why));
	CHECK_EQ(walk(0x18, 0x7c000000), 0);
	CHECK(iommu->attach(0x200, d, &why));
	CHECK_EQ(walk(0x200, 0x7c000000), 0x7c000001);
	CHECK_EQ(walk(0x200, 0x7c001000), 0x7c001001);
	CHECK_EQ(walk(0x200, 0x7c002000), 0);

	machine(AMDVI_EXT_ALL);
	put_le64(rig_table + 100 + 16, 0x10000000); /* RAM */
	rig_seal();
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK(!iommu->attach(0x200, domain_of(&rig_guest), &why));
	CHECK(strstr(why.text, "but there is RAM"));
}

TEST(messages)
{
	const uint32_t *remap;
	struct iommu_domain *d;
	uint64_t address;
	uint32_t data;

	start();
	d = domain_of(&rig_guest);
	CHECK(!iommu->msi(0x18, 0, 1, 0x51, &address, &data));
	CHECK(iommu->attach(0x18, d, &why));
	CHECK_EQ(device(0x18)->interrupts >> 60, 2);
	CHECK_EQ(device(0x18)->interrupts >> 1 & 15, 10);
	remap = (void *)(uintptr_t)(device(0x18)->interrupts & FIELD(51, 6));
	CHECK(iommu->msi(0x18, 0, 1, 0x51, &address, &data));
	CHECK_EQ(address, 0xfee00000);
	CHECK_EQ(data, 0);
	CHECK_EQ(remap[0], 0x510101);
	CHECK(iommu->msi(0x18, 7, 0xab, 0x61, &address, &data));
	CHECK_EQ(data, 7);
	CHECK_EQ(remap[7], 0x61ab01);
	CHECK_EQ(remap[1], 0);
	CHECK_EQ(told.last_interrupts, 0x18);
	CHECK(!iommu->msi(0x18, 256, 1, 0x51, &address, &data));
	CHECK(!iommu->msi(0x18, 0, 256, 0x51, &address, &data));
	CHECK(iommu->attach(0x18, NULL, &why));
	CHECK_EQ(remap[0] | remap[7], 0);
	CHECK(!iommu->msi(0x18, 0, 1, 0x51, &address, &data));
}

TEST(requests_that_carry_a_bridges_id)
{
	const uint32_t *remap;
	struct iommu_domain *d;
	uint64_t address;
	uint32_t data;

	for (unsigned i = 0; i < 5; i++) {
		pci_functions[i] = (struct pci_function){.bdf = (uint16_t)(0x210 + i),
							 .requester = 0x200};
	}
	start();
	pci_function_count = 5;
	d = domain_of(&rig_other);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(iommu->attach((uint16_t)(0x210 + i), d, &why));
		CHECK(iommu->msi((uint16_t)(0x210 + i), 1, 1, (uint8_t)(0x51 + i), &address,
				 &data));
		CHECK_EQ(data, 256 * i + 1);
	}
	CHECK(!iommu->attach(0x214, d, &why));
	CHECK_STR(why.text, "more than 4 devices behind the bridge of 02:02.4");
	CHECK_EQ(walk(0x200, 0), RIG_OTHER + 1);
	CHECK_EQ(walk(0x212, 0), RIG_OTHER + 1);
	remap = (void *)(uintptr_t)(device(0x200)->interrupts & FIELD(51, 6));
	CHECK_EQ(remap[257], 0x520101);
	CHECK_EQ(remap[769], 0x540101);
	CHECK_EQ(told.last_interrupts, 0x200);
	CHECK(iommu->attach(0x211, NULL, &why));
	CHECK_EQ(remap[257], 0);
	CHECK_EQ(remap[769], 0x540101);
	CHECK_EQ(walk(0x211, 0), 0);
	CHECK_EQ(walk(0x200, 0), RIG_OTHER + 1);
}

/* 02:02.0 sends as 03:00.0, as 03:01.0 does, and 02:02.1 as 00:03.0, which is there itself. */
TEST(an_id_is_one_guests)
{
	struct iommu_domain *d, *other;

	pci_functions[0] = (struct pci_function){.bdf = 0x210, .requester = 0x300};
	pci_functions[1] = (struct pci_function){.bdf = 0x211, .requester = 0x18};
	start();
	pci_function_count = 2;
	d = domain_of(&rig_guest);
	other = domain_of(&rig_other);
	CHECK(iommu->attach(0x308, d, &why) && iommu->attach(0x18, d, &why));
	CHECK(!iommu->attach(0x210, other, &why));
	CHECK_STR(why.text, "devices 02:02.0 and 03:01.0 send with one id, and another guest has "
			    "the second");
	why.text[0] = 0;
	CHECK(!iommu->attach(0x211, other, &why));
	CHECK_STR(why.text, "devices 02:02.1 and 00:03.0 send with one id, and another guest has "
			    "the second");
	CHECK_EQ(walk(0x300, 0), RIG_RAM + 1);
	CHECK_EQ(walk(0x18, 0), RIG_RAM + 1);
	CHECK_EQ(walk(0x210, 0), 0);
	CHECK(iommu->attach(0x308, d, &why)); /* as at its guest's restart */
	CHECK(iommu->attach(0x210, d, &why)); /* of the same guest */
	CHECK(iommu->attach(0x308, NULL, &why));
	CHECK_EQ(walk(0x300, 0), RIG_RAM + 1);
	CHECK(iommu->attach(0x210, NULL, &why));
	CHECK_EQ(walk(0x300, 0), 0);
	CHECK(iommu->attach(0x308, other, &why)); /* nobody has it any more */
	/* The other way round: an id that somebody sends with is no other guest's device. */
	CHECK(iommu->attach(0x18, NULL, &why) && iommu->attach(0x211, other, &why));
	CHECK(!iommu->attach(0x18, d, &why));
	CHECK_EQ(walk(0x18, 0), RIG_OTHER + 1);
}

TEST(pins)
{
	const uint32_t *remap;
	uint64_t entry;

	start();
	remap = (void *)(uintptr_t)(device(IOAPIC_BDF)->interrupts & FIELD(51, 6));
	CHECK(iommu->ioapic(RIG_IOAPIC, 4, 1, 0x30, false, &entry));
	CHECK_EQ(entry & 0xffff, 0x30);
	CHECK_EQ(remap[0x30], 0x300101);
	CHECK_EQ(told.last_interrupts, IOAPIC_BDF);
	/* The same vector on another CPU: told apart by the delivery mode. */
	CHECK(iommu->ioapic(RIG_IOAPIC, 5, 2, 0x30, true, &entry));
	CHECK_EQ(entry & 0xffff, 0x8130);
	CHECK_EQ(remap[0x130], 0x300201);
	CHECK(!iommu->ioapic(RIG_IOAPIC, 6, 3, 0x30, true, &entry));
	/* A pin that goes elsewhere gives its place back. */
	CHECK(iommu->ioapic(RIG_IOAPIC, 4, 1, 0x31, false, &entry));
	CHECK_EQ(remap[0x30], 0);
	CHECK(iommu->ioapic(RIG_IOAPIC, 6, 3, 0x30, true, &entry));
	CHECK_EQ(remap[0x30], 0x300301);
	CHECK(!iommu->ioapic(9, 4, 1, 0x30, false, &entry));
	CHECK(!iommu->ioapic(RIG_IOAPIC, 7, 256, 0x32, false, &entry));
}

TEST(interrupts_are_not_remapped_where_that_would_lose_some)
{
	uint64_t entry;

	machine(AMDVI_EXT_ALL);
	rig_acpi.ioapics = 2;
	rig_acpi.ioapic[1].id = 9;
	CHECK(iommu_probe(&rig_machine, &why) && iommu->enable(&why));
	CHECK_EQ(device(IOAPIC_BDF)->interrupts, 0);
	CHECK(!iommu->remaps_interrupts());
	CHECK_EQ(walk(0x18, 0), 0);
	CHECK(iommu->ioapic(9, 4, 1, 0x30, false, &entry));
	CHECK_EQ(entry, 0x0100000000000030);
}

static void event(uint64_t low, uint64_t high)
{
	struct amdvi_pair *log = (void *)(uintptr_t)(reg(AMDVI_EVENTS) & FIELD(51, 12));

	log[reg(AMDVI_EVENT_TAIL) / 16] = (struct amdvi_pair){low, high};
	set(AMDVI_EVENT_TAIL, (reg(AMDVI_EVENT_TAIL) + 16) % PAGE_SIZE);
}

TEST(events)
{
	struct iommu_fault f;

	start();
	CHECK(!iommu->take_fault(&f));
	event((2ull << 60) | BIT(53) | 0x18, 0x12345000);
	event((2ull << 60) | BIT(52) | 0x20, 0x1000);
	CHECK(iommu->take_fault(&f));
	CHECK(f.bdf == 0x18 && f.write && f.address == 0x12345000 && !f.owned);
	CHECK(iommu->attach(0x308, domain_of(&rig_other), &why));
	event((2ull << 60) | 0x300, 0x1000); /* its alias */
	CHECK(iommu->take_fault(&f) && f.bdf == 0x20);
	CHECK(iommu->take_fault(&f) && f.bdf == 0x300 && f.owned);
	event((2ull << 60) | BIT(52) | 0x20, 0x1000);
	CHECK_STR(f.reason, "an address that the domain does not have");
	CHECK(iommu->take_fault(&f));
	CHECK(f.bdf == 0x20 && !f.write);
	CHECK_STR(f.reason, "an access that the domain does not permit");
	CHECK(!iommu->take_fault(&f));
	for (unsigned i = 0; i < 600; i++) { /* round and round */
		event((1ull << 60) | i, i);
		CHECK(iommu->take_fault(&f) && f.bdf == i);
	}
	event(15ull << 60, 0);
	CHECK(iommu->take_fault(&f));
	CHECK_STR(f.reason, "an event that is not known");
	event(0, 0); /* the unit never writes it: not waited for without end */
	CHECK(iommu->take_fault(&f));
}

TEST(log_that_ran_over_is_started_again)
{
	struct iommu_fault f;

	start();
	event((2ull << 60) | 0x18, 0);
	set(AMDVI_STATUS, reg(AMDVI_STATUS) | AMDVI_OVERFLOW);
	CHECK(iommu->take_fault(&f));
	CHECK(!iommu->take_fault(&f));
	CHECK_EQ(reg(AMDVI_STATUS), AMDVI_LOG_RUNS | AMDVI_COMMANDS_RUN);
	CHECK(reg(AMDVI_CONTROL) & AMDVI_EVENT_LOG);
	event((2ull << 60) | 0x18, 0);
	CHECK(iommu->take_fault(&f));
}

TEST(quiet_until_attached_again)
{
	struct iommu_domain *d;

	start();
	d = domain_of(&rig_guest);
	CHECK(iommu->attach(0x18, d, &why));
	iommu->quiet(0x18);
	CHECK_EQ(device(0x18)->domain, BIT(34) | 1);
	CHECK_EQ(told.last_device, 0x18);
	CHECK_EQ(walk(0x18, 0), RIG_RAM + 1);
	CHECK(iommu->attach(0x18, d, &why));
	CHECK_EQ(device(0x18)->domain, 1);
}

TEST(event_interrupt)
{
	unsigned accesses;

	start();
	iommu->fault_interrupt(3, 0xe2); /* no MSI capability */
	CHECK(!(reg(AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT));
	fake_pci_capability(function, 0x50, PCI_CAP_MSI, 16);
	fake_pci_capability(function, 0x40, 0x0f, 8);
	fake_pci_set(function, 0x52, 2, MSI_64 | MSI_COUNT);
	fake_pci_set(function, PCI_COMMAND, 2, 0x402); /* firmware left Bus Master off */
	iommu->fault_interrupt(3, 0xe2);
	CHECK(reg(AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT);
	CHECK_EQ(fake_pci_get(function, 0x52, 2), MSI_64 | MSI_ENABLE);
	CHECK_EQ(fake_pci_get(function, 0x54, 4), 0xfee03000);
	CHECK_EQ(fake_pci_get(function, 0x58, 4), 0);
	CHECK_EQ(fake_pci_get(function, 0x5c, 2), 0xe2);
	CHECK_EQ(fake_pci_get(function, PCI_COMMAND, 2), 0x406); /* it may write the message */
	iommu->fault_interrupt(0, 0);
	CHECK(!(reg(AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT));
	accesses = function->accesses;
	iommu->fault_interrupt(3, 0xe2); /* again: while others use config space */
	CHECK(reg(AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT);
	CHECK_EQ(function->accesses, accesses);
	iommu->fault_interrupt(0, 0);
	fake_pci_set(function, 0x41, 1, 0x40); /* a list that goes round */
	iommu->fault_interrupt(4, 0xe2);
	CHECK(!(reg(AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT));
}

TEST(unit_that_stops_answering)
{
	start();
	told.stuck = true;
	CHECK(!iommu->attach(0x18, domain_of(&rig_guest), &why));
	CHECK(strstr(why.text, "does not invalidate what it has cached"));
}

TEST(registers_are_told)
{
	uint64_t base, size;

	machine(AMDVI_EXT_ALL | AMDVI_EXT_COUNTERS);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu->registers(0, &base, &size));
	CHECK(base == BASE && size == 0x80000);
	CHECK(!iommu->registers(1, &base, &size));
	CHECK(iommu->reaches(0xfe) && !iommu->reaches(0xff) && !iommu->reaches(0x100));
}
