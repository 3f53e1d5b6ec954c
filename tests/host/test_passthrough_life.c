/*
 * The life of passed-through functions: starts, ends, resets, deaths, DMA faults.
 */
#include "test.h"
#include "tests/fake/passthrough_rig.h"

TEST(functions_without_a_place_on_bus_0_get_one)
{
	struct fake_function *bridge;

	fake_pci_reset();
	bridge = fake_pci_add(pci_bdf(0, 1, 0), 0x00081b36, 0x06040000);
	fake_pci_set(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(bridge, PCI_BUSES + 1, 1, 4);
	hw = card(pci_bdf(4, 0, 0), 11);
	fake_pci_set(card(pci_bdf(0, 2, 0), 10), PCI_HEADER_TYPE, 1, 0x80);
	card(pci_bdf(0, 2, 3), 10);
	start_with("pci = 04:00.0, 00:02.3");
	CHECK_EQ(p->devices->function[0].devfn, 1 << 3);
	CHECK_EQ(p->devices->function[1].devfn, 2 << 3); /* function 0 is not there */
	CHECK_EQ(in(PCI_HEADER_TYPE, 1), 0);
	start_with("pci = 00:02.0, 00:02.3");
	CHECK_EQ(p->devices->function[1].devfn, 2 << 3 | 3);
	CHECK_EQ(in(PCI_HEADER_TYPE, 1), 0x80);
}

TEST(the_end_silences_and_resets)
{
	start();
	out(PCI_COMMAND, 2, 7);
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(1, 0xfee00000, 0x55, 0);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v); /* takes the request */
	CHECK_EQ(hw->flrs, 1);
	vcpu_turn(v); /* ends, and starts again */
	CHECK_EQ(hw->flrs, 2);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, 0);
	CHECK_EQ(in(PCI_COMMAND, 2), 3);
	CHECK_EQ(in(0xb2, 2), ENTRIES - 1);
	CHECK_EQ(memory_in(BAR0 + TABLE + 0x10 + 16, 4), 0);
	CHECK(mapped(BAR0));
	passthrough_interrupt(v, HOST_VECTOR_DEVICE_FIRST + 1); /* was on its way */
	CHECK_EQ(p->devices->orphans, 1);
	CHECK_EQ(p->devices->taken, 0);
	p->vcpus = 2;
}

/* Of firmware, then of the guest's last run. */
TEST(without_a_reset_no_message_is_left)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, 0x74, 4, 0);
	fake_pci_set(hw, 0xc4, 2, PM_NO_SOFT_RESET);
	fake_pci_set(hw, 0xb2, 2, MSIX_ENABLE | (ENTRIES - 1));
	fake_pci_set(hw, 0xd2, 2, MSI_64 | MSI_MASKABLE | 2 << 1 | MSI_ENABLE);
	start_with("pci = 00:03.0");
	CHECK(strstr(fake_log, "it has no reset"));
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, 0);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & MSI_ENABLE, 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(entry(i, 3) & 1, 1);
	}
	CHECK_EQ(entry(ENTRIES, 3), 0); /* the device's own registers */
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(1, 0xfee00000, 0x55, 0);
	CHECK_EQ(entry(1, 3) & 1, 0);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v);
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK_EQ(entry(1, 3) & 1, 1);
	out(0xb2, 2, MSIX_ENABLE);
	CHECK_EQ(entry(1, 3) & 1, 1);
}

TEST(what_does_not_decode_is_not_written_to)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, PCI_COMMAND, 2, 0);
	hw->writable[PCI_COMMAND] = 0;
	start_with("pci = 00:03.0");
	CHECK_EQ(entry(0, 3), 0);
}

/* An IOMMU that is a function tells of faults by messages: writes of its own. */
/* Firmware starts nothing behind it; it is opened when all else behind it is silent. */
TEST(a_bridge_that_is_off_is_opened_for_its_owner)
{
	struct fake_function *bridge, *other;

	fake_pci_reset();
	bridge = fake_pci_add(pci_bdf(0, 1, 0), 0x00081b36, 0x06040000);
	fake_pci_set(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(bridge, PCI_BUSES + 1, 2, 0x0404);
	hw = card(pci_bdf(4, 0, 0), 11);
	other = card(pci_bdf(4, 1, 0), 10);
	fake_pci_set(other, PCI_COMMAND, 2, 7);
	start_with("pci = 04:00.0");
	CHECK_EQ(fake_pci_get(bridge, PCI_COMMAND, 2), 0);
	other->writes = 0;
	passthrough_silence_rest();
	CHECK_EQ(fake_pci_get(bridge, PCI_COMMAND, 2), 7);
	CHECK_EQ(other->writes, 1);
	CHECK_EQ(fake_pci_get(other, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
}

TEST(what_nobody_owns_is_silenced_but_for_bridges_and_iommus)
{
	enum { MASTER = PCI_COMMAND_MASTER, OFF = PCI_COMMAND_INTX_OFF };
	static const struct iommu_ops any;
	static const uint32_t class[] = {0x02000000, 0x06010000, 0x08060000, 0x08050100,
					 0x03000000, 0x08002000, 0x0c033000};
	static const uint32_t left[] = {OFF, MASTER, MASTER, OFF, MASTER | OFF, MASTER | OFF, OFF};
	static const uint32_t held[] = {OFF,	      MASTER,	    MASTER,	 MASTER | OFF,
					MASTER | OFF, MASTER | OFF, MASTER | OFF};
	struct fake_function *other[ARRAY_SIZE(class)], *usb;
	struct pci_line line;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, PCI_HEADER_TYPE, 1, 0x80);
	usb = fake_pci_add(pci_bdf(0, 3, 1), 0x1e318086, 0x0c033000);
	for (unsigned i = 0; i < ARRAY_SIZE(class); i++) {
		other[i] = fake_pci_add(pci_bdf(0, 8 + i, 0), 0x14191022, class[i]);
		fake_pci_set(other[i], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	}
	start_with("pci = 00:03.0");
	out(PCI_COMMAND, 2, 7);
	passthrough_silence_rest();
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 7);
	for (unsigned i = 0; i < ARRAY_SIZE(class); i++) {
		CHECK_EQ(fake_pci_get(other[i], PCI_COMMAND, 2), left[i]);
		fake_pci_set(other[i], PCI_COMMAND, 2, MASTER);
	}
	fake_pci_set(usb, PCI_COMMAND, 2, MASTER);
	iommu = &any;
	passthrough_silence_rest();
	iommu = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(class); i++) {
		CHECK_EQ(fake_pci_get(other[i], PCI_COMMAND, 2), held[i]);
	}
	CHECK_EQ(fake_pci_get(usb, PCI_COMMAND, 2), OFF); /* of the guest's group */
	CHECK_STR(pci_line(&line, pci_find(pci_bdf(0, 10, 0))), "PCI   00:0a.0  # 1022:1419 IOMMU");
}

/* All that a guest does with a device, and its end and next start, whenever the device dies. */
TEST(a_device_may_die_at_any_access)
{
	unsigned told = 0;
	bool survived = false;

	for (unsigned n = 1; n < 400 && !survived; n += n < 60 ? 1 : 7) {
		start();
		hw->accesses = 0;
		hw->dies_after = n;
		fake_pci_waited_ms = 0;
		out(PCI_COMMAND, 2, 7);
		for (unsigned reg = 0; reg < 256; reg += 4) {
			in(reg, 4);
		}
		out(0x10, 4, 0xc1000000);
		out(0xb2, 2, MSIX_ENABLE);
		write_entry(0, 0xfee00000, 0x30, 0);
		out(0xb2, 2, 0);
		out(0xd4, 4, 0xfee00000);
		out(0xd2, 2, MSI_ENABLE | 2 << 4);
		out(0xd2, 2, 0);
		out(PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
		p->vcpus = 1;
		partition_end(p, END_RESET, "test");
		vcpu_turn(v);
		vcpu_turn(v);
		p->vcpus = 2;
		CHECK_EQ(p->end, END_NONE);
		survived = in(PCI_VENDOR, 4) != 0xffffffff;
		told += strstr(fake_log, "PCI 00:03.0 does not answer any more") != NULL;
		CHECK(fake_pci_waited_ms < 5000);
	}
	CHECK(survived);
	CHECK(told > 60); /* not when it dies later, while it is set up again */
}

TEST(a_list_of_capabilities_that_loops_is_shown_once)
{
	unsigned at, n = 0;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	hw->config[0xb1] = 0xc0; /* the last one leads to the first */
	start_with("pci = 00:03.0");
	for (at = in(PCI_CAPABILITIES, 1); at && n < 20; at = in(at + 1, 1)) {
		n++;
	}
	CHECK_EQ(n, 4);
}

TEST(irq_9_is_another_one_of_the_8259s)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 9);
	start_with("pci = 00:03.0");
	CHECK_EQ(in(PCI_LINE, 1), 11);
	CHECK(fake_host.line_masked[9]);
	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[9]);
	passthrough_interrupt(v, fake_host.line_vector[9]);
	CHECK(fake_host.line_masked[9]);
	CHECK(p->pc.ioapic.level >> 19 & 1);
	CHECK(p->pc.pic.chip[1].line & 8);    /* IRQ 11 */
	CHECK(!(p->pc.pic.chip[1].line & 2)); /* not the SCI's */
	CHECK(p->pc.pic.chip[1].elcr & 8);
	passthrough_pic_eoi(p, 9);
	CHECK(fake_host.line_masked[9]);
	passthrough_pic_eoi(p, 11);
	CHECK(!fake_host.line_masked[9]);
	CHECK(!(p->pc.pic.chip[1].line & 8));
}

TEST(a_line_of_the_io_apics_own_is_told_by_the_configuration)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 255);
	start_with("pci = 00:03.0");
	CHECK(!f->intx);
	CHECK(!strstr(fake_log, "cannot interrupt")); /* it has MSI */
	start_with("pci = 00:03.0 gsi 18");
	CHECK(f->intx);
	CHECK_EQ(in(PCI_LINE, 1), 11);
	CHECK(fake_host.line_masked[18]);
	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[18]);
	passthrough_interrupt(v, fake_host.line_vector[18]);
	CHECK(fake_host.line_masked[18]);
	CHECK(p->pc.ioapic.level >> 19 & 1);
	passthrough_pic_eoi(p, 11);
	CHECK(!fake_host.line_masked[18]);
	fake_pci_capability(hw, 0xd0, 0x09, 24); /* in place of MSI and MSI-X */
	fake_pci_capability(hw, 0xb0, 0x09, 12);
	start_with("pci = 00:03.0");
	CHECK(strstr(fake_log, "PCI 00:03.0 has no MSI, and Interrupt Line 255 is no ISA IRQ of "
			       "PCI's: it cannot interrupt; `gsi N` behind it in `pci` helps"));
}

/* --- faults --- */

static unsigned attached, quieted;
static char order[64]; /* what was done to the function's domain, and when */
static bool recorded;  /* a fault, which nobody has taken */

static bool count_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	(void)r;
	attached += bdf == 0x18 && d;
	strcat(order, !d ? "block " : *(uint8_t *)p->as.range[0].ptr ? "dirty " : "clean ");
	CHECK(!(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER));
	return true;
}

/* Once the guest is stopped, it may start and attach its devices at any moment. */
static void count_quiet(uint16_t bdf)
{
	(void)bdf;
	quieted += p->end == END_NONE;
}

static const struct iommu_ops counting = {.attach = count_attach, .quiet = count_quiet};

static bool fault_of(uint16_t bdf, bool interrupt, bool many)
{
	struct iommu_fault x = {.bdf = bdf, .address = 0x12345000, .write = true, .owned = true};
	bool stopped;

	x.interrupt = interrupt;
	quieted = 0;
	iommu = &counting;
	stopped = passthrough_dma_fault(&x, many);
	iommu = NULL;
	CHECK(!stopped || quieted == 1);
	return stopped;
}

static bool fault(uint16_t bdf, bool interrupt)
{
	return fault_of(bdf, interrupt, false);
}

static void take_recorded(uint16_t bdf)
{
	struct iommu_fault x = {.bdf = 0x18, .address = 0x12345000, .owned = true};

	CHECK_EQ(bdf, 0x18);
	strcat(order, "settle ");
	if (recorded) {
		recorded = false;
		CHECK(!passthrough_dma_fault(&x, true));
	}
}

/*
 * A device without a reset may still have something under way: it reaches neither the memory of
 * the next life, nor does what it did end that.
 */
TEST(nothing_of_one_life_reaches_the_next)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, 0x74, 4, 0);
	fake_pci_set(hw, 0xc4, 2, PM_NO_SOFT_RESET);
	start_with("pci = 00:03.0\non-dma-fault = stop");
	p->devices->domain = (struct iommu_domain *)p;
	iommu = &counting;
	order[0] = 0;
	fake_host.on_settle = take_recorded;
	out(PCI_COMMAND, 2, 7);
	p->vcpus = 1;
	for (unsigned life = 0; life < 2; life++) {
		*(uint8_t *)p->as.range[0].ptr = 0xa5;
		recorded = true;
		partition_end(p, END_RESET, "test");
		vcpu_turn(v);
		vcpu_turn(v);
		CHECK_EQ(p->end, END_NONE);
		CHECK(!recorded);
	}
	CHECK_STR(order, "block settle clean block settle clean ");
	p->vcpus = 2;
	iommu = NULL;
	fake_host.on_settle = NULL;
}

TEST(what_was_before_the_first_life_does_not_end_it)
{
	start();
	p->devices->domain = (struct iommu_domain *)p;
	iommu = &counting;
	order[0] = 0;
	fake_host.on_settle = take_recorded;
	atomic_store(&p->generation, 0);
	recorded = true;
	passthrough_start(p);
	CHECK_STR(order, "settle ");
	CHECK_EQ(p->end, END_NONE);
	iommu = NULL;
	fake_host.on_settle = NULL;
}

TEST(a_fault_stops_the_guest_that_says_so)
{
	start();
	CHECK(!fault(0x18, false)); /* only told */
	CHECK_EQ(p->end, END_NONE);
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\non-dma-fault = stop\non-crash = restart");
	CHECK(!fault(0x20, false)); /* another's */
	CHECK(!fault(0x18, true));  /* an interrupt is no DMA */
	CHECK(!fault_of(0x20, true, true));
	CHECK_EQ(p->end, END_NONE);
	CHECK(fault(0x18, false));
	CHECK_EQ(p->end, END_ERROR);
	CHECK(!fault(0x18, false)); /* it is ending already */
	p->vcpus = 1;
	p->devices->domain = (struct iommu_domain *)p; /* so that it is attached again */
	iommu = &counting;
	attached = 0;
	order[0] = 0;
	vcpu_turn(v);
	vcpu_turn(v);
	iommu = NULL;
	CHECK_EQ(attached, 1);
	CHECK(strstr(fake_log,
		     "test: stopped: PCI 00:03.0 tried to write 0x12345000, which is not the "
		     "guest's (`on-dma-fault = stop`); restarting"));
	CHECK_EQ(p->end, END_NONE);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	CHECK(fault(0x18, false)); /* and so it goes on */
	p->vcpus = 2;
	atomic_store(&p->generation, 0); /* not started yet: its vCPUs would not notice */
	atomic_store(&p->end, END_NONE);
	CHECK(!fault(0x18, false));
}

TEST(many_interrupt_requests_stop_it_too)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\non-dma-fault = stop");
	CHECK(fault_of(0x18, true, true));
	CHECK_EQ(p->end, END_ERROR);
	CHECK_STR(p->end_reason, "PCI 00:03.0 sent many interrupts that are not the guest's "
				 "(`on-dma-fault = stop`)");
	start_with("pci = 00:03.0");
	CHECK(!fault_of(0x18, true, true));
}

TEST(a_fault_with_a_bridges_id_is_that_of_the_function_behind)
{
	struct fake_function *bridge;

	fake_pci_reset();
	bridge = fake_pci_add(pci_bdf(0, 1, 0), 0x00081b36, 0x06040000);
	fake_pci_set(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(bridge, PCI_BUSES + 1, 2, 0x0404);
	hw = card(pci_bdf(4, 2, 0), 11);
	start_with("pci = 04:02.0\non-dma-fault = stop");
	CHECK_EQ(f->pci->requester, 0x08);
	CHECK(fault(0x08, false));
	CHECK(strstr(p->end_reason, "PCI 04:02.0 tried to write"));
}

static bool reaches_none(uint32_t apic_id)
{
	CHECK_EQ(apic_id, 0x10);
	return false;
}

/* It would wait for interrupts for ever. */
TEST(cpus_that_devices_cannot_name_are_refused)
{
	static const struct iommu_ops narrow = {.reaches = reaches_none};
	struct refusal r = {""};

	start();
	iommu = &narrow;
	CHECK(!passthrough_create(p, &r));
	iommu = NULL;
	CHECK_STR(r.text, "guest test: CPU 0 has an APIC id that devices cannot address");
}

/* --- memory without an IOMMU --- */

TEST(identity_memory_is_at_its_own_addresses_with_holes)
{
	static const uint64_t free_ram[4][2] = {
		{0x200000, 0x2f0000}, /* too small to be worth a range */
		{0x300000, 0x500000},
		{0x600000, 0x10000000},
	};
	uint64_t ram = 0;

	memcpy(fake_host_identity, free_ram, sizeof(free_ram));
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\ndma = unsafe-identity");
	CHECK_EQ(p->as.count, 4);
	for (unsigned i = 0; i < p->as.count; i++) {
		const struct addr_range *a = &p->as.range[i];

		if (a->base.v >= 0x100000) {
			CHECK_EQ(a->base.v, a->hpa.v);
			ram += a->size;
		}
	}
	CHECK_EQ(ram, 0x300000);
	CHECK_EQ(p->as.range[2].base.v, 0x300000);
	CHECK_EQ(p->as.range[3].base.v, 0x600000);
	/* The guest is told of the holes. */
	CHECK_EQ(p->image.map[3].base, 0x300000);
	CHECK_EQ(p->image.map[3].size, 0x200000);
	CHECK_EQ(p->image.map[4].base, 0x600000);
	CHECK_EQ(p->image.map[4].size, 0x100000);
	CHECK(strstr(fake_log, "WARNING: no IOMMU holds its devices") != NULL);
	memset(fake_host_identity, 0, sizeof(fake_host_identity));
}
