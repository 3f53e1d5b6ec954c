/*
 * Resetting a PCI function: see pci_reset_function in hv/pci.h (PCI Express Base "Function Level
 * Reset"; Advanced Capabilities for Conventional PCI ECN; PCI Power Management 1.2 "D3hot").
 *
 * Called by hv/passthrough.c on the CPU of the partition that owns the function. Pure, like pci.c.
 * All waits have an end: a device that never comes back costs a second, once per reset.
 */
#include "drivers/pci_access.h"
#include "hv/pci.h"

enum {
	AF_CONTROL = 4,
	AF_FLR = 1,
	AF_STATUS = 5,
	AF_PENDING = 1,
	BRIDGE_RESET = BIT(6),
	STATE_D3 = 3,
	ABSENT = 0xffff
};
enum { SETTLE_US = 100000, POLL_US = 10000, POLLS = 100 };

/* What firmware has set up and a reset clears. The command register is written last. */
static const struct {
	uint8_t offset, size;
} header[] = {
	{PCI_CACHE_LINE, 2}, {0x10, 4}, {0x14, 4},    {0x18, 4},     {0x1c, 4},
	{0x20, 4},	     {0x24, 4}, {PCI_ROM, 4}, {PCI_LINE, 1},
};

static bool answers(const struct pci_function *f)
{
	return pci_read(f->bdf, PCI_VENDOR, 2) == f->vendor;
}

static bool wait_answer(const struct pci_function *f)
{
	for (unsigned i = 0; i < POLLS; i++) {
		if (answers(f)) {
			return true;
		}
		pci_delay_us(POLL_US);
	}
	return false;
}

static bool is_pending(const struct pci_function *f)
{
	return (f->cap_pcie &&
		(pci_read(f->bdf, f->cap_pcie + PCIE_DEVICE_STATUS, 2) & PCIE_PENDING)) ||
	       (f->cap_af && (pci_read(f->bdf, f->cap_af + AF_STATUS, 1) & AF_PENDING));
}

/*
 * What the device has begun must end before a reset. Reading from it also waits for what it has
 * written: its answer comes behind that.
 */
static void wait_transactions(const struct pci_function *f)
{
	for (unsigned i = 0; i < POLLS / 10 && is_pending(f); i++) {
		pci_delay_us(POLL_US);
	}
}

static bool reset_flr(const struct pci_function *f)
{
	unsigned control = f->cap_pcie + PCIE_DEVICE_CONTROL;

	if (f->cap_af) {
		pci_write(f->bdf, f->cap_af + AF_CONTROL, 1, AF_FLR);
	} else {
		pci_write(f->bdf, control, 2, pci_read(f->bdf, control, 2) | PCIE_FLR);
	}
	pci_delay_us(SETTLE_US);
	return wait_answer(f);
}

static bool set_power(const struct pci_function *f, unsigned state)
{
	unsigned reg = f->cap_pm + PM_CONTROL;
	uint32_t v = pci_read(f->bdf, reg, 2);

	pci_write(f->bdf, reg, 2, (v & ~(uint32_t)PM_STATE) | state);
	pci_delay_us(POLL_US);
	return wait_answer(f);
}

static bool reset_power(const struct pci_function *f)
{
	return set_power(f, STATE_D3) && set_power(f, 0);
}

/* The bridge to a bus on which f is alone; NULL: there is none. */
static const struct pci_function *own_bridge(const struct pci_function *f)
{
	const struct pci_function *bridge = NULL;

	for (unsigned i = 0; i < pci_function_count; i++) {
		const struct pci_function *o = &pci_functions[i];

		if (o != f && o->bdf >> 8 == f->bdf >> 8) {
			return NULL;
		}
		if (o->header_type == 1 && o->secondary && o->secondary == f->bdf >> 8) {
			bridge = o;
		}
	}
	return bridge;
}

static bool reset_bus(const struct pci_function *f, const struct pci_function *bridge)
{
	uint32_t v = pci_read(bridge->bdf, PCI_BRIDGE_CONTROL, 2);

	pci_write(bridge->bdf, PCI_BRIDGE_CONTROL, 2, v | BRIDGE_RESET);
	pci_delay_us(POLL_US);
	pci_write(bridge->bdf, PCI_BRIDGE_CONTROL, 2, v & ~(uint32_t)BRIDGE_RESET);
	pci_delay_us(SETTLE_US);
	return wait_answer(f);
}

/*
 * Every reset clears the command register. Not every device does what its capabilities say: some
 * come out of D3hot as they went in, QEMU's e1000e among them. Where nothing was set, it is
 * believed.
 */
static bool was_reset(const struct pci_function *f, uint32_t command)
{
	return !command || pci_read(f->bdf, PCI_COMMAND, 2) != command;
}

static bool soft_reset(const struct pci_function *f)
{
	return f->cap_pm && !(pci_read(f->bdf, f->cap_pm + PM_CONTROL, 2) & PM_NO_SOFT_RESET);
}

/* The gentlest first; one that does not come back is not tried again. */
static bool reset(const struct pci_function *f)
{
	const struct pci_function *bridge = own_bridge(f);
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);

	if (f->flr) {
		if (!reset_flr(f)) {
			return false;
		}
		if (was_reset(f, command)) {
			return true;
		}
	}
	if (soft_reset(f)) {
		if (!reset_power(f)) {
			return false;
		}
		if (was_reset(f, command)) {
			return true;
		}
	}
	return bridge && reset_bus(f, bridge) && was_reset(f, command);
}

/* Max_Payload_Size must fit the bridges above; all ones: the device is gone. */
static void restore_payload(const struct pci_function *f, uint32_t saved)
{
	unsigned at = f->cap_pcie + PCIE_DEVICE_CONTROL;
	uint32_t v = f->cap_pcie ? pci_read(f->bdf, at, 2) : ABSENT;

	if (v != ABSENT && saved != ABSENT) {
		v &= ~(uint32_t)(PCIE_PAYLOAD | PCIE_FLR);
		pci_write(f->bdf, at, 2, v | (saved & PCIE_PAYLOAD));
	}
}

/* Groups were made of what was on at boot: without it neighbours reach each other. */
static void restore_acs(const struct pci_function *f)
{
	if (f->cap_acs) {
		pci_write(f->bdf, f->cap_acs + ACS_CONTROL, 2, f->acs_on);
	}
}

bool pci_reset_function(const struct pci_function *f)
{
	uint32_t saved[ARRAY_SIZE(header)], command, control;
	bool done;

	if (!answers(f)) {
		return false;
	}
	command = pci_read(f->bdf, PCI_COMMAND, 2);
	command = (command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)) | PCI_COMMAND_INTX_OFF;
	for (unsigned i = 0; i < ARRAY_SIZE(header); i++) {
		saved[i] = pci_read(f->bdf, header[i].offset, header[i].size);
	}
	control = f->cap_pcie ? pci_read(f->bdf, f->cap_pcie + PCIE_DEVICE_CONTROL, 2) : 0;
	/* Firmware may have put it to sleep, and waking up can be a reset already. */
	if (f->cap_pm && !set_power(f, 0)) {
		return false;
	}
	pci_write(f->bdf, PCI_COMMAND, 2, command);
	wait_transactions(f);
	done = reset(f);
	if (!answers(f)) {
		return false;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(header); i++) {
		/* Nobody reads a ROM any more: what it decodes may be another's. */
		pci_write(f->bdf, header[i].offset, header[i].size,
			  saved[i] & (header[i].offset == PCI_ROM ? ~(uint32_t)PCI_ROM_ON : ~0u));
	}
	restore_payload(f, control);
	restore_acs(f);
	pci_write(f->bdf, PCI_COMMAND, 2, command);
	return done && answers(f);
}
