/*
 * Ten interrupts of the 8254 at 100 Hz, measured with the TSC.
 */
static volatile unsigned ticks;

/* The host of an emulator may pause it at any time, so one good try of several is enough. */
static void count_ticks(const char *how)
{
	uint64_t start, micros = 0;

	for (unsigned i = 0; i < 20 && (micros < 95000 || micros > 115000); i++) {
		ticks = 0;
		while (ticks < 2) { /* the first may have been pending for long */
			halt();
		}
		start = rdtsc();
		while (ticks < 12) {
			halt();
		}
		micros = (rdtsc() - start) * 1000 / (tsc_hz() / 1000);
	}
	print("%s: 10 ticks of 10000 us in %lu us\n", how, (unsigned long)micros);
	CHECK(micros >= 95000 && micros <= 115000);
}
