/*
 * The 16550A's registers (National PC16550D datasheet, "Registers", "FIFO Interrupt Mode
 * Operation"). See vuart.h for the rings and for what a UART without a line means.
 *
 * vuart_ops and vuart_update are called under the device lock; vuart_take, vuart_drained and
 * vuart_offer on the console's CPU. Only the rings and `held` are shared between the two.
 */
#include "hv/vdev/vuart.h"

enum reg {
	RBR_THR = 0, /* DLL when DLAB */
	IER = 1,     /* DLM when DLAB */
	IIR_FCR = 2,
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7,
};

enum { IER_ERBFI = 1 << 0, IER_ETBEI = 1 << 1, IER_ELSI = 1 << 2, IER_EDSSI = 1 << 3 };

enum {
	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_THRE = 0x02,
	IIR_DATA = 0x04,
	IIR_LINE = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFOS = 0xc0,
};

enum { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_KEPT = 0xc9 };
enum { LCR_DLAB = 1 << 7 };
enum { MCR_OUT2 = 1 << 3, MCR_LOOP = 1 << 4, MCR_ALL = 0x1f };
enum { LSR_DR = 1 << 0, LSR_OE = 1 << 1, LSR_THRE = 1 << 5, LSR_TEMT = 1 << 6 };
enum { MSR_TERI = 1 << 2, MSR_RI = 1 << 6, MSR_TERMINAL = 0xb0 /* DCD, DSR, CTS */ };

/* THRE promises room for a whole FIFO: drivers then send that much without looking. */
enum { FIFO = 16 };

static bool has_room(struct vuart *u)
{
	uint32_t used = atomic_load_explicit(&u->out.head, memory_order_relaxed) -
			atomic_load_explicit(&u->out.tail, memory_order_acquire);

	return used <= VUART_OUT - FIFO;
}

/* Gives the THRE interrupt, or owes it to the guest and has the console tell when there is room. */
static void renew_thre(struct vuart *u)
{
	if (!has_room(u)) {
		atomic_store(&u->held, true);
	}
	/* The console may have made room before it could see `held`. */
	u->thre_pending = has_room(u);
	u->thre_owed = !u->thre_pending;
}

static uint8_t lsr(struct vuart *u)
{
	uint8_t v = u->errors;

	if (u->rx_count) {
		v |= LSR_DR;
	}
	if (has_room(u)) {
		v |= LSR_THRE | LSR_TEMT;
	}
	return v;
}

/* The modem's lines, or in loopback our own: CTS = RTS, DSR = DTR, RI = OUT1, DCD = OUT2. */
static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP)) {
		return MSR_TERMINAL;
	}
	return (uint8_t)((mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x0c) << 4);
}

static uint8_t trigger_level(const struct vuart *u)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* The highest of the pending interrupts that are enabled, as IIR names it. */
static uint8_t cause(const struct vuart *u)
{
	if (u->ier & IER_ELSI && u->errors) {
		return IIR_LINE;
	}
	if (u->ier & IER_ERBFI && u->rx_count) {
		return u->rx_count >= trigger_level(u) ? IIR_DATA : IIR_TIMEOUT;
	}
	if (u->ier & IER_ETBEI && u->thre_pending) {
		return IIR_THRE;
	}
	if (u->ier & IER_EDSSI && u->msr_delta) {
		return IIR_MODEM;
	}
	return IIR_NONE;
}

/* A PC wires the interrupt through OUT2, and the chip pulls OUT2 off in loopback. */
static void drive_irq(struct vuart *u)
{
	bool level = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && cause(u) != IIR_NONE;

	if (level != u->irq) {
		u->irq = level;
		irq_set(&u->sink, u->gsi, level);
	}
}

/* Takes typed bytes in as far as the FIFO, or without it the one holding register, has room. */
static void receive(struct vuart *u)
{
	uint32_t tail = atomic_load_explicit(&u->in.tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&u->in.head, memory_order_acquire);
	uint8_t room = u->fcr & FCR_ENABLE ? FIFO : 1;

	if (tail == head || u->rx_count >= room || u->mcr & MCR_LOOP) {
		return;
	}
	while (tail != head && u->rx_count < room) {
		u->rx[(u->rx_head + u->rx_count) % FIFO] = u->in_data[tail % VUART_IN];
		u->rx_count++;
		tail++;
	}
	atomic_store_explicit(&u->in.tail, tail, memory_order_release);
}

/* What is sent in loopback comes back; when nobody reads it, the overrun keeps the older bytes. */
static void loop_back(struct vuart *u, uint8_t byte)
{
	bool fifo = u->fcr & FCR_ENABLE;

	if (u->rx_count < (fifo ? FIFO : 1)) {
		u->rx[(u->rx_head + u->rx_count) % FIFO] = byte;
		u->rx_count++;
		return;
	}
	u->errors |= LSR_OE;
	if (!fifo) {
		u->rx[u->rx_head] = byte; /* the holding register is overwritten */
	}
}

/*
 * head is stored and tail read in the total order of sequential consistency, as vuart_take does the
 * other way round: either we see the ring empty and notify, or the console sees this byte.
 */
static void transmit(struct vuart *u, uint8_t byte)
{
	uint32_t head = atomic_load_explicit(&u->out.head, memory_order_relaxed);
	uint32_t used = head - atomic_load_explicit(&u->out.tail, memory_order_acquire);

	if (used >= VUART_OUT) {
		return; /* sent without THRE: lost, as on the chip */
	}
	u->out_data[head % VUART_OUT] = byte;
	atomic_store(&u->out.head, head + 1);
	used = head - atomic_load(&u->out.tail);
	if (used == 0 || used == VUART_OUT / 2 || used == VUART_OUT - FIFO) {
		u->notify(u->ctx);
	}
}

/* The byte is gone at once, so writing drops the THRE interrupt and raises it again. */
static void write_thr(struct vuart *u, uint8_t byte)
{
	if (u->mcr & MCR_LOOP) {
		loop_back(u, byte);
	} else {
		transmit(u, byte);
	}
	if (u->ier & IER_ETBEI) {
		renew_thre(u);
	}
	if (u->ier) {
		drive_irq(u);
	}
}

static uint8_t read_rbr(struct vuart *u)
{
	uint8_t byte = u->rx[u->rx_head];

	if (!u->rx_count) {
		return 0;
	}
	u->rx_head = (uint8_t)((u->rx_head + 1) % FIFO);
	u->rx_count--;
	receive(u);
	drive_irq(u);
	return byte;
}

static uint8_t read_iir(struct vuart *u)
{
	uint8_t v = cause(u);

	if (v == IIR_THRE) {
		u->thre_pending = false;
		drive_irq(u);
	}
	return u->fcr & FCR_ENABLE ? v | IIR_FIFOS : v;
}

static uint8_t read_lsr(struct vuart *u)
{
	uint8_t v = lsr(u);

	if (u->errors) {
		u->errors = 0;
		drive_irq(u);
	}
	return v;
}

static uint8_t read_msr(struct vuart *u)
{
	uint8_t v = modem_lines(u->mcr) | u->msr_delta;

	if (u->msr_delta) {
		u->msr_delta = 0;
		drive_irq(u);
	}
	return v;
}

static void write_ier(struct vuart *u, uint8_t v)
{
	/* Enabling it with an empty THR raises the interrupt: drivers start sending this way. */
	if (v & ~u->ier & IER_ETBEI) {
		renew_thre(u);
	}
	u->ier = v & 0x0f;
	drive_irq(u);
}

static void write_fcr(struct vuart *u, uint8_t v)
{
	/* Changing the mode clears the FIFOs; without FCR_ENABLE no other bit is programmed. */
	if ((v ^ u->fcr) & FCR_ENABLE || (v & FCR_ENABLE && v & FCR_CLEAR_RX)) {
		u->rx_count = 0;
	}
	u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
	receive(u);
	drive_irq(u);
}

static void write_mcr(struct vuart *u, uint8_t v)
{
	uint8_t before = modem_lines(u->mcr);
	uint8_t after, changed;

	u->mcr = v & MCR_ALL;
	after = modem_lines(u->mcr);
	changed = (before ^ after) >> 4;
	if (after & MSR_RI) {
		changed &= (uint8_t)~MSR_TERI; /* only the trailing edge of RI counts */
	}
	u->msr_delta |= changed;
	receive(u);
	drive_irq(u);
}

static uint8_t read(struct vuart *u, uint64_t offset)
{
	switch (offset) {
	case RBR_THR: return u->lcr & LCR_DLAB ? u->dll : read_rbr(u);
	case IER: return u->lcr & LCR_DLAB ? u->dlm : u->ier;
	case IIR_FCR: return read_iir(u);
	case LCR: return u->lcr;
	case MCR: return u->mcr;
	case LSR: return read_lsr(u);
	case MSR: return read_msr(u);
	case SCR: return u->scr;
	default: return 0xff;
	}
}

static void write(struct vuart *u, uint64_t offset, uint8_t v)
{
	switch (offset) {
	case RBR_THR:
		if (u->lcr & LCR_DLAB) {
			u->dll = v;
		} else {
			write_thr(u, v);
		}
		break;
	case IER:
		if (u->lcr & LCR_DLAB) {
			u->dlm = v;
		} else {
			write_ier(u, v);
		}
		break;
	case IIR_FCR: write_fcr(u, v); break;
	case LCR: u->lcr = v; break;
	case MCR: write_mcr(u, v); break;
	case SCR: u->scr = v; break;
	default: break; /* LSR and MSR: factory tests only, "writing is not recommended" */
	}
}

static void access(void *dev, struct bus_access *a)
{
	if (a->write) {
		write(dev, a->offset, (uint8_t)a->value);
	} else {
		a->value = read(dev, a->offset);
	}
}

void vuart_init(struct vuart *u, unsigned gsi, struct irq_sink sink, void (*notify)(void *),
		void *ctx)
{
	*u = (struct vuart){.gsi = gsi, .sink = sink, .notify = notify, .ctx = ctx};
}

/* SCR and the divisor are untouched by RESET# (datasheet, "Reset Configuration of Registers"). */
void vuart_reset(struct vuart *u)
{
	u->ier = u->lcr = u->mcr = u->fcr = 0;
	u->errors = u->msr_delta = 0;
	u->rx_head = u->rx_count = 0;
	u->thre_pending = u->thre_owed = false;
	drive_irq(u);
}

unsigned vuart_take(struct vuart *u, uint8_t *buf, unsigned n)
{
	uint32_t tail = atomic_load_explicit(&u->out.tail, memory_order_relaxed);
	uint32_t used = atomic_load(&u->out.head) - tail;

	n = n < used ? n : used;
	for (unsigned i = 0; i < n; i++) {
		buf[i] = u->out_data[(tail + i) % VUART_OUT];
	}
	if (n) {
		atomic_store(&u->out.tail, tail + n);
	}
	return n;
}

bool vuart_drained(struct vuart *u)
{
	return atomic_load(&u->held) && has_room(u) && atomic_exchange(&u->held, false);
}

bool vuart_offer(struct vuart *u, uint8_t byte)
{
	uint32_t head = atomic_load_explicit(&u->in.head, memory_order_relaxed);

	if (head - atomic_load_explicit(&u->in.tail, memory_order_acquire) == VUART_IN) {
		return false;
	}
	u->in_data[head % VUART_IN] = byte;
	atomic_store_explicit(&u->in.head, head + 1, memory_order_release);
	return true;
}

void vuart_update(struct vuart *u)
{
	receive(u);
	if (u->thre_owed) {
		renew_thre(u);
	}
	drive_irq(u);
}

const struct vdev_ops vuart_ops = {.name = "uart", .access = access};
