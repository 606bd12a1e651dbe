ALTER TABLE Users MODIFY Timezone text;
