include $(sort $(wildcard $(BR2_EXTERNAL_CAMRILL_PATH)/package/*/*.mk))
