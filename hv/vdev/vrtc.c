/*
 * The MC146818's clock, registers and interrupts (MC146818A datasheet, "Registers", "Update
 * Cycle"). vrtc_time.c has the calendar.
 *
 * Called by the bus and by pc_run, under the device lock. Owner of the state: struct pc.
 */
#include "hv/vdev/vrtc.h"
#include "hv/vdev/vrtc_time.h"

enum { RTC_HZ_SHIFT = 15 }; /* the time base of 32768 Hz */
enum { UIP_SHIFT = 12 };    /* 2^-12 s: the 244 us before an update */

enum { A_UIP = 1 << 7, A_DV = 7 << 4, A_DV_32KHZ = 2 << 4, A_RS = 0x0f };
enum { C_UF = 1 << 4, C_AF = 1 << 5, C_PF = 1 << 6, C_IRQF = 1 << 7 };
enum { D_VRT = 1 << 7 };

enum { IRQ = 8 };

static bool is_running(const struct vrtc *r)
{
	return (r->cmos[RTC_A] & A_DV) == A_DV_32KHZ;
}

static bool is_set(const struct vrtc *r)
{
	return r->cmos[RTC_B] & B_SET;
}

/* Ticks of 32768 Hz per period of PF, as a power of two; 0 when register A chooses none. */
static unsigned period_shift(const struct vrtc *r)
{
	unsigned rs = r->cmos[RTC_A] & A_RS;

	return rs > 2 ? rs - 1 : rs ? rs + 6 : 0;
}

static uint64_t since_second(const struct vrtc *r, uint64_t now)
{
	return now > r->second_start ? now - r->second_start : 0;
}

static uint64_t tick(const struct vrtc *r, uint64_t now)
{
	return (r->second << RTC_HZ_SHIFT) + scale(&r->ticks, since_second(r, now));
}

/* `seconds` update cycles. */
static void update_time(struct vrtc *r, uint64_t seconds)
{
	int64_t before = r->time;

	r->time += (int64_t)seconds;
	r->cmos[RTC_C] |= C_UF;
	if (vrtc_next_alarm(r->cmos, before) <= r->time) {
		r->cmos[RTC_C] |= C_AF;
	}
}

/* Brings time and flags to the present. */
static void advance(struct vrtc *r, uint64_t now)
{
	uint64_t gone = since_second(r, now), seconds, at;
	unsigned shift = period_shift(r);

	if (!is_running(r)) {
		return;
	}
	if (gone >= r->tsc_hz) {
		seconds = gone < 2 * r->tsc_hz ? 1 : gone / r->tsc_hz;
		r->second_start += seconds * r->tsc_hz;
		r->second += seconds;
		if (!is_set(r)) {
			update_time(r, seconds);
		}
	}
	at = tick(r, now);
	if (at <= r->seen_tick) {
		return; /* or another CPU looked a moment later, and came first */
	}
	if (shift && (at ^ r->seen_tick) >> shift) {
		r->cmos[RTC_C] |= C_PF;
	}
	r->seen_tick = at;
}

/* Host TSC of the next PF. Periods divide a second, so it is never beyond the current one. */
static uint64_t next_period(const struct vrtc *r, unsigned shift)
{
	uint64_t next = ((r->seen_tick >> shift) + 1) << shift;
	uint64_t in_second = next - (r->second << RTC_HZ_SHIFT);
	uint64_t round_up = (1u << RTC_HZ_SHIFT) - 1;

	return r->second_start + ((in_second * r->tsc_hz + round_up) >> RTC_HZ_SHIFT);
}

static uint64_t next_alarm(const struct vrtc *r)
{
	int64_t at = vrtc_next_alarm(r->cmos, r->time);

	if (at == INT64_MAX) {
		return UINT64_MAX;
	}
	return r->second_start + (uint64_t)(at - r->time) * r->tsc_hz;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Once the line is up nothing more can happen before the guest reads register C. */
static uint64_t next_interrupt(const struct vrtc *r)
{
	uint64_t at = UINT64_MAX;
	uint8_t enabled = r->cmos[RTC_B];
	unsigned shift = period_shift(r);

	if (r->irq || !is_running(r)) {
		return at;
	}
	if (enabled & B_PIE && shift) {
		at = next_period(r, shift);
	}
	if (is_set(r)) {
		return at;
	}
	if (enabled & B_UIE) {
		at = earlier(at, r->second_start + r->tsc_hz);
	}
	if (enabled & B_AIE) {
		at = earlier(at, next_alarm(r));
	}
	return at;
}

/* The enables of register B and the flags of C are at the same bits. */
static void drive_irq(struct vrtc *r)
{
	bool level = r->cmos[RTC_C] & r->cmos[RTC_B] & (C_UF | C_AF | C_PF);

	if (level != r->irq) {
		r->irq = level;
		irq_set(&r->sink, IRQ, level);
	}
	r->deadline = next_interrupt(r);
}

void vrtc_run(struct vrtc *r, uint64_t now)
{
	if (now >= r->deadline) {
		advance(r, now);
		drive_irq(r);
	}
}

/* Makes the time bytes show the time; SET keeps them as the guest has them. */
static void render(struct vrtc *r)
{
	if (!is_set(r) && r->rendered != r->time) {
		vrtc_render(r->cmos, r->time);
		r->rendered = r->time;
	}
}

/* The time bytes become the time. They stay as written until the next second. */
static void adopt(struct vrtc *r)
{
	r->time = vrtc_parse(r->cmos);
	r->rendered = r->time;
}

static uint8_t read_a(const struct vrtc *r, uint64_t now)
{
	bool uip = is_running(r) && !is_set(r) &&
		   since_second(r, now) >= r->tsc_hz - (r->tsc_hz >> UIP_SHIFT);

	return r->cmos[RTC_A] | (uip ? A_UIP : 0);
}

static uint8_t read_c(struct vrtc *r)
{
	uint8_t v = r->cmos[RTC_C] | (r->irq ? C_IRQF : 0);

	r->cmos[RTC_C] = 0;
	drive_irq(r);
	return v;
}

static void write_a(struct vrtc *r, uint8_t v, uint64_t now)
{
	bool was_running = is_running(r);

	r->cmos[RTC_A] = v & (uint8_t)~A_UIP;
	/* Out of reset the divider's first update is half a second away. */
	if (!was_running && is_running(r)) {
		r->second_start = now > r->tsc_hz / 2 ? now - r->tsc_hz / 2 : 0;
		r->seen_tick = tick(r, now);
	}
}

static void write_b(struct vrtc *r, uint8_t v)
{
	bool was_set = is_set(r);

	render(r);
	if (v & B_SET) {
		v &= (uint8_t)~B_UIE;
	}
	r->cmos[RTC_B] = v;
	if (was_set && !is_set(r)) {
		adopt(r);
	} else if (!was_set) {
		r->rendered = INT64_MIN; /* the format may be another one */
	}
}

static void write_time(struct vrtc *r, uint8_t v)
{
	render(r);
	r->cmos[r->index] = v;
	if (!is_set(r)) {
		adopt(r);
	}
}

static bool is_time(uint8_t index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static uint8_t read(struct vrtc *r, uint64_t now)
{
	if (is_time(r->index)) {
		advance(r, now);
		render(r);
		return r->cmos[r->index];
	}
	switch (r->index) {
	case RTC_A: advance(r, now); return read_a(r, now);
	case RTC_C: advance(r, now); return read_c(r);
	default: return r->cmos[r->index];
	}
}

static void write(struct vrtc *r, uint8_t v, uint64_t now)
{
	if (r->index == RTC_C || r->index == RTC_D) {
		return; /* read-only */
	}
	if (r->index > RTC_D && r->index != RTC_CENTURY) {
		r->cmos[r->index] = v;
		return;
	}
	advance(r, now);
	if (is_time(r->index)) {
		write_time(r, v);
	} else if (r->index == RTC_A) {
		write_a(r, v, now);
	} else if (r->index == RTC_B) {
		write_b(r, v);
	} else {
		r->cmos[r->index] = v; /* of the alarm */
	}
	drive_irq(r);
}

static void access(void *dev, struct bus_access *a)
{
	struct vrtc *r = dev;

	if (!(a->offset & 1)) {
		if (a->write) {
			r->index = (uint8_t)a->value & 0x7f; /* bit 7 masks NMI: there is none */
		} else {
			a->value = 0xff; /* write-only */
		}
	} else if (a->write) {
		write(r, (uint8_t)a->value, a->now);
	} else {
		a->value = read(r, a->now);
	}
}

void vrtc_reset(struct vrtc *r)
{
	r->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE);
	r->cmos[RTC_C] = 0;
	drive_irq(r);
}

/* A number of `bytes` bytes, the largest that fits when it is too large. */
static void put(struct vrtc *r, unsigned at, unsigned bytes, uint64_t v)
{
	uint64_t max = BIT(8 * bytes) - 1;

	v = v < max ? v : max;
	for (unsigned i = 0; i < bytes; i++) {
		r->cmos[at + i] = (uint8_t)(v >> 8 * i);
	}
}

/* What a PC's firmware tells boot loaders and old kernels about the machine. */
static void describe_pc(struct vrtc *r, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
	uint64_t above_1m = ram_below_4g > MIB(1) ? ram_below_4g - MIB(1) : 0;
	uint64_t above_16m = ram_below_4g > MIB(16) ? ram_below_4g - MIB(16) : 0;
	unsigned sum = 0;

	r->cmos[0x14] = 0x02; /* equipment: FPU, no floppy */
	put(r, 0x15, 2, 640);
	put(r, 0x17, 2, above_1m / KIB(1));
	put(r, 0x30, 2, above_1m / KIB(1));
	put(r, 0x34, 2, above_16m / KIB(64));
	put(r, 0x5b, 3, ram_above_4g / KIB(64));
	for (unsigned i = 0x10; i < 0x2e; i++) {
		sum += r->cmos[i];
	}
	r->cmos[0x2e] = (uint8_t)(sum >> 8);
	r->cmos[0x2f] = (uint8_t)sum;
}

void vrtc_init(struct vrtc *r, uint64_t tsc_hz, int64_t epoch, uint64_t now, uint64_t ram_below_4g,
	       uint64_t ram_above_4g, struct irq_sink sink)
{
	*r = (struct vrtc){
		.tsc_hz = tsc_hz,
		.ticks = scale_make(tsc_hz, 1u << RTC_HZ_SHIFT),
		.time = epoch,
		.rendered = INT64_MIN,
		.second_start = now,
		.deadline = UINT64_MAX,
		.sink = sink,
	};
	r->cmos[RTC_A] = A_DV_32KHZ | 6; /* 1024 Hz, as firmware sets it */
	r->cmos[RTC_B] = B_24H;
	r->cmos[RTC_D] = D_VRT;
	describe_pc(r, ram_below_4g, ram_above_4g);
}

const struct vdev_ops vrtc_ops = {.name = "rtc", .timed = true, .access = access};
