/*
 * The end of the machine and the wall clock for hv/host.h: what the configuration asks for meets
 * what drivers can do. Called by the console CPU at the end, and by the virtual RTCs.
 */
#include "boot/console.h"
#include "boot/main.h"
#include "boot/warm.h"
#include "drivers/power.h"
#include "drivers/rtc.h"
#include "hv/config.h"
#include "hv/host.h"
#include "hv/log.h"

static int64_t boot_epoch;
static uint64_t boot_tsc;

void clock_init(void)
{
	boot_epoch = rtc_read_epoch();
	boot_tsc = host_tsc();
	if (boot_epoch < 0) {
		log_line("RTC: holds no date; guests start in 1970");
		boot_epoch = 0;
	}
}

int64_t host_epoch(uint64_t now)
{
	return boot_epoch + (int64_t)((now - boot_tsc) / host_tsc_hz);
}

void host_end(const struct config_system *c)
{
	console_drain();
	warm_ended();
	if (c->when_all_stopped == CONFIG_REBOOT) {
		power_reset();
	}
	if (c->when_all_stopped == CONFIG_POWEROFF) {
		if (c->debug_exit) {
			power_qemu_exit(c->debug_exit, 0);
		}
		if (c->bochs_shutdown) {
			power_bochs_exit();
		}
		power_off();
	}
	log_line("the machine has stopped");
	host_stop();
}
