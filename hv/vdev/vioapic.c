/*
 * The virtual I/O APIC (82093AA datasheet; Intel ICH "I/O APIC").
 *
 * Callers: the MMIO bus, the interrupt sinks of the devices, and the EOI broadcast of the LAPICs,
 * all under the partition's device lock, which owns the state with the partition.
 */
#include "hv/vdev/vioapic.h"

/* The MMIO page. */
enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };

/* Registers behind IOWIN; two per redirection entry from REDIRECTION. */
enum { ID = 0x00, VERSION = 0x01, ARBITRATION = 0x02, REDIRECTION = 0x10 };

enum { VERSION_VALUE = 0x20 | (VIOAPIC_PINS - 1) << 16, ID_BITS = FIELD(27, 24) };

/* Redirection entry. */
enum {
	RTE_VECTOR = FIELD(7, 0),
	RTE_LOGICAL = BIT(11),
	RTE_STATUS = BIT(12), /* read-only: a message is never on its way */
	RTE_POLARITY = BIT(13),
	RTE_REMOTE_IRR = BIT(14), /* read-only */
	RTE_LEVEL = BIT(15),
	RTE_MASKED = BIT(16),
	RTE_LOW_WRITABLE = FIELD(11, 0) | RTE_POLARITY | RTE_LEVEL | RTE_MASKED,
};
#define RTE_DEST FIELD(63, 56)

static enum apic_delivery delivery(uint64_t rte)
{
	return (enum apic_delivery)(rte >> 8 & 7);
}

static bool is_level(uint64_t rte)
{
	return (rte & RTE_LEVEL) && delivery(rte) <= APIC_LOWEST;
}

static bool send(struct vioapic *io, uint64_t rte)
{
	struct apic_message m = {
		.dest = (uint32_t)(rte >> 56),
		.vector = rte & RTE_VECTOR,
		.delivery = delivery(rte),
		.logical = rte & RTE_LOGICAL,
		.level = is_level(rte),
	};

	return apic_bus_send(io->bus, &m);
}

/* A level pin that asks, and whose last message is answered, sends. */
static void update_level(struct vioapic *io, unsigned pin)
{
	uint64_t rte = io->redirection[pin];

	if ((io->level & ~io->remote_irr) >> pin & 1 && is_level(rte) && !(rte & RTE_MASKED) &&
	    send(io, rte)) {
		io->remote_irr |= 1u << pin;
	}
}

void vioapic_set(struct vioapic *io, unsigned pin, bool level)
{
	bool rose;

	if (pin >= VIOAPIC_PINS) {
		return;
	}
	rose = level && !(io->level >> pin & 1);
	if (level) {
		io->level |= 1u << pin;
	} else {
		io->level &= ~(1u << pin);
		return;
	}
	if (is_level(io->redirection[pin])) {
		update_level(io, pin);
	} else if (rose && !(io->redirection[pin] & RTE_MASKED)) {
		send(io, io->redirection[pin]);
	}
}

void vioapic_eoi(struct vioapic *io, uint8_t vector)
{
	for (uint32_t left = io->remote_irr; left; left &= left - 1) {
		unsigned pin = (unsigned)__builtin_ctz(left);

		if ((io->redirection[pin] & RTE_VECTOR) == vector) {
			io->remote_irr &= ~(1u << pin);
			if (io->eoi) {
				io->eoi(io->ctx, pin);
			}
			update_level(io, pin);
		}
	}
}

static uint32_t read_window(const struct vioapic *io)
{
	unsigned pin = (io->select - REDIRECTION) / 2u;

	switch (io->select) {
	case ID:
	case ARBITRATION: return io->id;
	case VERSION: return VERSION_VALUE;
	}
	if (io->select < REDIRECTION || pin >= VIOAPIC_PINS) {
		return 0;
	}
	if (io->select & 1) {
		return (uint32_t)(io->redirection[pin] >> 32);
	}
	return (uint32_t)io->redirection[pin] |
	       (io->remote_irr >> pin & 1 ? (uint32_t)RTE_REMOTE_IRR : 0);
}

/* Drivers for chips without an EOI register clear remote IRR by making the pin edge and back. */
static void write_redirection(struct vioapic *io, unsigned pin, bool high, uint32_t value)
{
	uint64_t *rte = &io->redirection[pin], before = *rte;

	if (high) {
		*rte = (uint32_t)*rte | ((uint64_t)value << 32 & RTE_DEST);
	} else {
		*rte = (*rte & RTE_DEST) | (value & (uint32_t)RTE_LOW_WRITABLE);
	}
	if (!is_level(*rte)) {
		io->remote_irr &= ~(1u << pin);
	}
	if (io->masked && ((*rte ^ before) & RTE_MASKED)) {
		io->masked(io->ctx, pin);
	}
	update_level(io, pin);
}

bool vioapic_masked(const struct vioapic *io, unsigned pin)
{
	return io->redirection[pin] & RTE_MASKED;
}

static void write_window(struct vioapic *io, uint32_t value)
{
	unsigned pin = (io->select - REDIRECTION) / 2u;

	if (io->select == ID) {
		io->id = value & ID_BITS;
	} else if (io->select >= REDIRECTION && pin < VIOAPIC_PINS) {
		write_redirection(io, pin, io->select & 1, value);
	}
}

/* IOREGSEL takes any width; the others are dwords, and other writes to them are ignored. */
static void vioapic_access(void *dev, struct bus_access *a)
{
	struct vioapic *io = dev;
	uint64_t offset = a->offset & 0xff;

	if (!a->write) {
		a->value = offset == IOREGSEL ? io->select : offset == IOWIN ? read_window(io) : 0;
	} else if (offset == IOREGSEL) {
		io->select = (uint8_t)a->value;
	} else if (a->size == 4 && offset == IOWIN) {
		write_window(io, (uint32_t)a->value);
	} else if (a->size == 4 && offset == IOEOI) {
		vioapic_eoi(io, (uint8_t)a->value);
	}
}

void vioapic_reset(struct vioapic *io)
{
	io->id = 0;
	io->select = 0;
	io->remote_irr = 0;
	for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
		io->redirection[pin] = RTE_MASKED;
	}
}

void vioapic_init(struct vioapic *io, struct apic_bus *bus)
{
	io->bus = bus;
	io->level = 0;
	vioapic_reset(io);
}

const struct vdev_ops vioapic_ops = {
	.name = "I/O APIC",
	.access = vioapic_access,
};
